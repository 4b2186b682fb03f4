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
func (pb *partBuild) compileC(ctx context.Context, output string) error {
	compiler, err := exec.LookPath("gcc")
	if err != nil {
		return fmt.Errorf("finding a C compiler (Debian packages gcc and libc6-dev): %w", err)
	}
	module, err := pb.run(ctx, 0, "mod", "download", "-json", pb.recipe.release)
	if err != nil {
		return err
	}
	var download struct{ Dir string }
	if err := json.Unmarshal(module, &download); err != nil {
		return fmt.Errorf("parsing the output of go mod download: %w", err)
	}
	dir := filepath.Join(download.Dir, pb.recipe.cDir)
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
