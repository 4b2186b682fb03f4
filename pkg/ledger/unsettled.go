package ledger

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// A container is unsettled while an operation on it runs, and after one that was killed, or that
// left something to tear down. Unsettled containers have an empty file each in a directory of
// lockDir, so that they are found without reading the records of all others. The directory is on a
// tmpfs: after a boot it is missing, and then every container that has a record is unsettled.
const unsettledName = "unsettled"

func (l Ledger) unsettledDir() string { return filepath.Join(l.lockDir, unsettledName, l.key()) }

// markUnsettled marks the container, and all that have a record if nothing is known of any.
func (l Ledger) markUnsettled(containerID string) error {
	path := filepath.Join(l.unsettledDir(), containerID)
	err := touch(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := l.seedUnsettled(); err != nil {
		return err
	}
	return touch(path)
}

// seedUnsettled creates the directory, complete in one step: a process that is killed meanwhile
// leaves it missing.
func (l Ledger) seedUnsettled() error {
	if err := os.MkdirAll(filepath.Dir(l.unsettledDir()), 0o700); err != nil {
		return err
	}
	seed, err := os.MkdirTemp(filepath.Dir(l.unsettledDir()), ".seed-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(seed)
	files, err := os.ReadDir(l.dir)
	if err != nil {
		return err
	}
	for _, file := range files {
		if id, quarantined, ok := parseFileName(file.Name()); ok && !quarantined {
			if err := touch(filepath.Join(seed, id)); err != nil {
				return err
			}
		}
	}
	err = os.Rename(seed, l.unsettledDir())
	if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENOTEMPTY) { // another process was faster
		return nil
	}
	return err
}

func touch(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	return file.Close()
}

func (l Ledger) markSettled(containerID string) {
	_ = os.Remove(filepath.Join(l.unsettledDir(), containerID))
}

// Unsettled returns the containers on which an operation was killed, or left something to tear
// down.
func (l Ledger) Unsettled() ([]string, error) {
	files, err := os.ReadDir(l.unsettledDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var ids []string
	for _, file := range files {
		if !l.Busy(file.Name()) {
			ids = append(ids, file.Name())
		}
	}
	return ids, nil
}

// IsSettled reports whether nothing of the record is left to be torn down by anything but a DEL
// that the runtime will send.
func (r Record) IsSettled() bool {
	return len(r.Orphans) == 0 && !slices.ContainsFunc(r.Attachments, Attachment.HalfMade)
}
