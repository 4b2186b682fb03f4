package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const mainModule = "github.com/kaloom/kubernetes-kactus-cni-plugin"

// FindRoot returns the directory of the plugin's main module: the nearest one at or above dir whose
// go.mod names the module. It does not use the path of this source file, which a binary built with
// -trimpath does not contain.
func FindRoot(dir string) (string, error) {
	start, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("finding the absolute path of %s: %w", dir, err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		found, err := declares(filepath.Join(dir, "go.mod"), mainModule)
		if err != nil {
			return "", fmt.Errorf("looking for the source of %s: %w", mainModule, err)
		}
		if found {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("looking for the source of %s: not found in %s or above", mainModule, start)
		}
	}
}

func declares(goMod, module string) (bool, error) {
	file, err := os.Open(goMod)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if lines.Text() == "module "+module {
			return true, nil
		}
	}
	return false, lines.Err()
}
