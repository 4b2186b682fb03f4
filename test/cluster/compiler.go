package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
)

// compilerArgs returns the C compiler's arguments to build a program from source files.
func compilerArgs(output string, sources ...string) []string {
	return append([]string{"-std=c99", "-O2", "-static", "-s", "-o", output}, sources...)
}

// compileC builds the part from the C files of a directory in its released module.
func (m *moduleBuild) compileC(ctx context.Context, pb *partBuild, output string) error {
	compiler, err := exec.LookPath("gcc")
	if err != nil {
		return fmt.Errorf("finding a C compiler (Debian packages gcc and libc6-dev): %w", err)
	}
	download := m.command(ctx, "mod", "download", "-json", pb.recipe.release)
	module, err := download.Output()
	if err != nil {
		return m.failed(ctx, "mod download", err, string(module))
	}
	var downloaded struct{ Dir string }
	if err := json.Unmarshal(module, &downloaded); err != nil {
		return fmt.Errorf("parsing the output of go mod download: %w", err)
	}
	dir := filepath.Join(downloaded.Dir, pb.recipe.cDir)
	sources, err := filepath.Glob(filepath.Join(dir, "*.c"))
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, compiler, compilerArgs(output, sources...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("compiling the C files of %s: %w\n%s", dir, err, out)
	}
	return nil
}
