package ledger

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Probe says whether a record could be written now. It does not wait for the disk, as a record does.
func (l Ledger) Probe() error {
	path := filepath.Join(l.dir, ".probe") // no container's: an ID does not begin with a dot
	if err := probe(path); err != nil {
		return fmt.Errorf("write to the ledger's folder: %w", err)
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
	_, err = file.Write(make([]byte, os.Getpagesize())) // a file without content may fit on a disk that is full
	return err
}
