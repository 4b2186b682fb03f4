package ledger

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Frozen is a ledger in which no attachment is planned until it is closed.
type Frozen struct{ dir *os.File }

// Freeze waits until no plan is being written, and lets none be written until Close: what is not in the ledger then, no delegate makes. It
// fails with ErrBusy when ctx ends before.
func (l Ledger) Freeze(ctx context.Context) (*Frozen, error) {
	dir, err := lockDir(ctx, l.dir, unix.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("freeze the ledger: %w", err)
	}
	return &Frozen{dir: dir}, nil
}

// Close lets attachments be planned again.
func (f *Frozen) Close() { _ = f.dir.Close() }

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
