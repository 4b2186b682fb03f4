package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// BuildPlugins returns a folder of the CNI plugins that the main module's tool lines name,
// once it has built them into the cache unless they are there.
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
	if _, err := os.Stat(target); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return target, err
	}
	if err := b.buildPlugins(ctx, goTool, target); err != nil {
		return "", fmt.Errorf("building the CNI plugins: %w", err)
	}
	return target, nil
}

// buildPlugins builds in a folder of its own and renames it: whoever comes second finds
// the same there already.
func (b Builder) buildPlugins(ctx context.Context, goTool goTool, target string) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(filepath.Dir(target), ".build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	output := filepath.Join(scratch, "plugins")
	cmd := exec.CommandContext(ctx, goTool.path, "build", "-trimpath", "-ldflags", "-s -w", "-o", output+"/", "tool")
	cmd.Dir, cmd.Env = b.Root, goEnviron()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	err = os.Rename(output, target)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}
