package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestMakeDir(t *testing.T) {
	cache := t.TempDir()
	path := filepath.Join(cache, "version", "made")
	failure := errors.New("no space")
	if err := MakeDir(path, func(string) error { return failure }); !errors.Is(err, failure) {
		t.Errorf("error: %v; want %v", err, failure)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) > 0 {
		t.Errorf("left after a failure: %v, %v", left, err)
	}
	write := func(dir string) error { return os.WriteFile(filepath.Join(dir, "file"), nil, 0o600) }
	// The second process finds the directory that the first one makes meanwhile.
	err := MakeDir(path, func(dir string) error { return errors.Join(MakeDir(path, write), write(dir)) })
	if err != nil {
		t.Fatal(err)
	}
	if err := MakeDir(path, func(string) error { return failure }); err != nil {
		t.Errorf("the directory exists, yet was made again: %v", err)
	}
	if _, err := os.Stat(filepath.Join(path, "file")); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("next to the directory: %v, %v", left, err)
	}
}
