package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// CacheDir returns the directory where tests keep what takes long to build or download:
// $KACTUS_TEST_CACHE or, if that is unset, kactus-test in the user's cache directory.
func CacheDir() (string, error) {
	if dir := os.Getenv("KACTUS_TEST_CACHE"); dir != "" {
		return dir, nil
	}
	user, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the tests' cache directory (set KACTUS_TEST_CACHE to choose one): %w", err)
	}
	return filepath.Join(user, "kactus-test"), nil
}

// MakeDir makes a directory below CacheDir, unless it exists: fill writes the content to a
// temporary directory, which is then renamed to path. So nobody ever finds an incomplete directory,
// and of two processes that make the same one at the same time, the first wins.
func MakeDir(path string, fill func(dir string) error) error {
	if _, err := os.Stat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temporary, err := os.MkdirTemp(filepath.Dir(path), ".making-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary) // already gone if renamed
	if err := fill(temporary); err != nil {
		return err
	}
	if err := os.Chmod(temporary, 0o755); err != nil {
		return err
	}
	err = os.Rename(temporary, path)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}
