package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// BuildPlugins builds the CNI plugins that the main module's tool lines name, unless they are in
// the cache, and returns their directory.
func (b Builder) BuildPlugins(ctx context.Context) (string, error) {
	if err := b.setDefaults(); err != nil {
		return "", err
	}
	goTool, err := findGo(ctx)
	if err != nil {
		return "", err
	}
	key := sha256.New()
	key.Write([]byte(goTool.version))
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(b.Root, name))
		if err != nil {
			return "", err
		}
		key.Write(content)
	}
	target := filepath.Join(b.Cache, hex.EncodeToString(key.Sum(nil)[:8]), "plugins")
	err = MakeDir(target, func(dir string) error {
		cmd := exec.CommandContext(ctx, goTool.path, "build", "-trimpath", "-ldflags", "-s -w", "-o", dir+"/", "tool")
		cmd.Dir, cmd.Env = b.Root, goEnviron()
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("building the CNI plugins: %w", err)
	}
	return target, nil
}
