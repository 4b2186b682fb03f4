package ledger

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Freeze waits until no plan is being written, and lets none be written until what it returns is closed: what is not in the ledger then, no
// delegate makes. It fails with ErrBusy when ctx ends before.
func (l Ledger) Freeze(ctx context.Context) (io.Closer, error) {
	dir, err := lockDir(ctx, l.dir, unix.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("freeze the ledger: %w", err)
	}
	return dir, nil
}

// lockDir locks the folder: shared by those that write a plan, or for one alone that wants none to be written.
func lockDir(ctx context.Context, path string, how int) (*os.File, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := flock(ctx, dir, how); err != nil {
		dir.Close()
		return nil, err
	}
	return dir, nil
}
