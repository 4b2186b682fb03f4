package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Turn says which of the installers of a node is in charge: the one that came last of those that live. An update starts the new
// one before it ends the old one, and both would write what they have: the old binary, and a token that dies with the old one's Pod. If the new one is
// taken back, the old one is in charge again.
//
// Each holds a lock on a numbered file of its own, which the kernel drops when it dies.
type Turn struct {
	folder string
	number int
	file   *os.File
}

// Turn enters an installer as the last one to come, until End or until its process ends.
func (i *Installer) Turn() (*Turn, error) {
	t := &Turn{folder: filepath.Dir(i.kubeconfigPath())}
	if err := t.enter(); err != nil {
		return nil, fmt.Errorf("enter as installer in %s: %w", t.folder, err)
	}
	return t, nil
}

const (
	turnFormat  = "installer-%d.lock"
	turnPattern = "installer-*.lock"
)

func (t *Turn) path(number int) string {
	return filepath.Join(t.folder, fmt.Sprintf(turnFormat, number))
}

func (t *Turn) enter() error {
	if err := os.MkdirAll(t.folder, 0o700); err != nil {
		return err
	}
	for {
		others, err := t.numbers()
		if err != nil {
			return err
		}
		last := 0
		for _, n := range others {
			last = max(last, n)
		}
		t.number = last + 1
		// Whoever is faster has the number; whoever sees the file before it is locked takes it for a dead one's, and removes it.
		t.file, err = os.OpenFile(t.path(t.number), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		if unix.Flock(int(t.file.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil && t.entered() {
			return nil
		}
		_ = t.file.Close()
	}
}

func (t *Turn) entered() bool {
	mine, err := t.file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(t.path(t.number))
	return err == nil && os.SameFile(mine, there)
}

func (t *Turn) numbers() ([]int, error) {
	paths, err := filepath.Glob(filepath.Join(t.folder, turnPattern))
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, path := range paths {
		var n int
		if _, err := fmt.Sscanf(filepath.Base(path), turnFormat, &n); err == nil && filepath.Base(path) == fmt.Sprintf(turnFormat, n) {
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}

// Mine says whether this installer is the one in charge.
func (t *Turn) Mine() (bool, error) {
	if !t.entered() { // somebody uninstalled
		_ = t.file.Close()
		if err := t.enter(); err != nil {
			return false, fmt.Errorf("enter again as installer in %s: %w", t.folder, err)
		}
	}
	numbers, err := t.numbers()
	if err != nil {
		return false, err
	}
	for _, n := range numbers {
		if n > t.number && lives(t.path(n)) {
			return false, nil
		}
	}
	return true, nil
}

// lives says whether somebody holds the lock on a file, and removes the file if not.
func lives(path string) bool {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	defer file.Close()
	if unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return true
	}
	_ = os.Remove(path)
	return false
}

// End leaves the charge to whoever came before, if that one lives.
func (t *Turn) End() {
	_ = os.Remove(t.path(t.number))
	_ = t.file.Close()
}
