package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Ledger is a directory of records and the directory of their locks.
type Ledger struct{ dir, lockDir string }

// At returns the ledger in dir, whose locks are in lockDir, to be read. Neither directory needs to
// exist.
func At(dir, lockDir string) Ledger { return Ledger{dir: dir, lockDir: lockDir} }

// Open returns the ledger in dir, whose locks are in lockDir. It creates a directory that is
// missing, with the mode 0700, and closes one that is there to other users. A directory of another
// user is an error.
func Open(dir, lockDir string) (Ledger, error) {
	if err := openDir(dir); err != nil {
		return Ledger{}, fmt.Errorf("open the ledger's directory: %w", err)
	}
	if err := openDir(lockDir); err != nil {
		return Ledger{}, fmt.Errorf("open the directory of the ledger's locks: %w", err)
	}
	return At(dir, lockDir), nil
}

func openDir(dir string) error {
	if err := makeDir(dir); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: dir, Err: err}
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Errorf("%s is not a directory", dir)
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to the user %d, not to %d", dir, st.Uid, os.Geteuid())
	case st.Mode&0o077 != 0:
		return os.Chmod(dir, 0o700)
	}
	return nil
}

// makeDir creates dir and its missing parents, durably: a plan is not on the disk unless its
// directory is.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// Probe reports whether a record could be written now. Unlike WritePlanned, it does not wait for
// the disk.
func (l Ledger) Probe() error {
	path := filepath.Join(l.dir, ".probe") // a container ID does not begin with a dot
	if err := probe(path); err != nil {
		return fmt.Errorf("write to the ledger's directory: %w", err)
	}
	return nil
}

func probe(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(path)
	defer file.Close()
	_, err = file.Write(make([]byte, os.Getpagesize())) // an empty file fits on a disk that is full
	return err
}
