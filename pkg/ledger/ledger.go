package ledger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Ledger is a directory of records and the directory of their locks.
type Ledger struct {
	dir, lockDir string
	// multusDir is where Multus keeps its own records; empty for none.
	multusDir string
}

// At returns the ledger in dir, whose locks are in lockDir, to be read. Neither directory needs to
// exist.
func At(dir, lockDir string) Ledger { return Ledger{dir: dir, lockDir: lockDir} }

// Open returns the ledger in dir, whose locks are in lockDir. It creates a directory that is
// missing, with the mode 0700, and closes one that is there to other users, if it has nothing but
// the ledger's files. A directory of another user, or one that others use, is an error.
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
	case st.Mode&unix.S_ISVTX != 0:
		return fmt.Errorf("%s is for several users (mode %04o), kactus needs a directory of its own", dir,
			st.Mode&0o7777)
	case st.Mode&0o077 != 0:
		return closeDir(dir)
	}
	return nil
}

// closeDir closes a directory to other users, unless something else is in it: then it is not the
// ledger's to close.
func closeDir(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer file.Close()
	for {
		entries, err := file.ReadDir(128)
		for _, e := range entries {
			if !isOwn(e) {
				return fmt.Errorf("%s has %s in it, which is not kactus's, and kactus needs a directory of its own",
					dir, e.Name())
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return file.Chmod(0o700)
		case err != nil:
			return err
		}
	}
}

// isOwn reports whether an entry of the ledger's directories is the ledger's: a file as this or an
// earlier version writes it, or what a file system of its own begins with.
func isOwn(e fs.DirEntry) bool {
	name := e.Name()
	if name == "lost+found" {
		return true
	}
	isHex := func(r rune) bool { return strings.ContainsRune("0123456789abcdef", r) }
	isID := len(name) == 64 && strings.TrimFunc(name, isHex) == "" // a record of the predecessor
	return e.Type().IsRegular() && (isID || name == lockFileName || name == probeName ||
		slices.Contains([]string{".json", ".tmp", ".lock", ".corrupt"}, filepath.Ext(name)))
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

// probeName is no container's file: a container ID does not begin with a dot.
const probeName = ".probe"

// Probe reports whether a record could be written now. Unlike WritePlanned, it does not wait for
// the disk.
func (l Ledger) Probe() error {
	path := filepath.Join(l.dir, probeName)
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
