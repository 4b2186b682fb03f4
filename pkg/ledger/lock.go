package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// ErrBusy is returned when a lock is not available in time: another operation on the container is
// running, or a delegate that it left running; or, for the plan of an ADD, a GC.
var ErrBusy = errors.New("another operation is still running")

// containerLock is the lock of one container: one byte of a file that all containers share. The
// file is never removed, and does not grow with the number of containers that come and go.
//
// The lock belongs to the open file description (fcntl(2), "Open file description locks").
// Delegates inherit the descriptor, so that the container stays locked while a delegate of a kactus
// that was killed still runs.
type containerLock struct {
	file   *os.File
	offset int64
}

const lockFileName = "lock"

func (l Ledger) lockPath() string { return filepath.Join(l.lockDir, lockFileName) }

// lockOffset returns the byte that stands for the container. The ledger's directory is part of the
// hash, so that two ledgers can have their locks in one directory. Two spellings of one directory,
// such as with and without a slash at the end, count as the same.
func (l Ledger) lockOffset(containerID string) int64 {
	sum := sha256.Sum256([]byte(filepath.Clean(l.dir) + "\x00" + containerID))
	const highest = 1<<62 - 1 // offsets are signed, and the end of the range must not overflow
	return int64(binary.BigEndian.Uint64(sum[:8]) & highest)
}

// key returns a name for the ledger's directory, so that two ledgers can share a lockDir.
func (l Ledger) key() string {
	sum := sha256.Sum256([]byte(filepath.Clean(l.dir)))
	return hex.EncodeToString(sum[:8])
}

// lockContainer waits for the container's lock until ctx ends, then fails with ErrBusy.
//
// Versions that had no lockDir used a flock on CONTAINERID.lock in the ledger's directory. While a
// node is being upgraded, an operation of such a version may still be running: lockContainer waits
// for its lock too. The other direction is not covered: such an operation does not see the lock of
// one that was running before it took its own.
func (l Ledger) lockContainer(ctx context.Context, containerID string) (*containerLock, error) {
	file, err := os.OpenFile(l.lockPath(), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	lock := &containerLock{file: file, offset: l.lockOffset(containerID)}
	err = poll(ctx, func() error {
		return unix.FcntlFlock(file.Fd(), unix.F_OFD_SETLK, lock.request(unix.F_WRLCK))
	})
	if err == nil {
		err = waitForOldLock(ctx, filepath.Join(l.dir, containerID+".lock"))
	}
	if err != nil {
		lock.release()
		return nil, err
	}
	return lock, nil
}

func (c *containerLock) request(lockType int16) *unix.Flock_t {
	return &unix.Flock_t{Type: lockType, Whence: io.SeekStart, Start: c.offset, Len: 1}
}

// release unlocks the container for all that share the lock: a delegate that went on in the
// background has inherited the descriptor.
func (c *containerLock) release() {
	_ = unix.FcntlFlock(c.file.Fd(), unix.F_OFD_SETLK, c.request(unix.F_UNLCK))
	_ = c.file.Close()
}

// waitForOldLock waits until no operation of an old version holds the lock file at path. Old
// versions remove the file when they release the lock, so one that is there and unlocked is left
// over, and goes.
func waitForOldLock(ctx context.Context, path string) error {
	for {
		file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ELOOP) {
			return nil
		}
		if err != nil {
			return err
		}
		err = flock(ctx, file, unix.LOCK_EX)
		if err == nil && isAt(file, path) {
			_ = os.Remove(path) // fails on a read-only disk, where the file does no harm
			file.Close()
			return nil
		}
		file.Close()
		if err != nil {
			return err
		}
	}
}

// isAt reports whether path still leads to the file and not to another one.
func isAt(file *os.File, path string) bool {
	locked, err := file.Stat()
	if err != nil {
		return true
	}
	found, err := os.Lstat(path)
	return err != nil || os.SameFile(locked, found)
}

// Busy reports whether an operation on the container is running at this moment. It takes no lock.
func (l Ledger) Busy(containerID string) bool {
	file, err := os.OpenFile(l.lockPath(), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer file.Close()
	lock := containerLock{file: file, offset: l.lockOffset(containerID)}
	holder := lock.request(unix.F_WRLCK)
	err = unix.FcntlFlock(file.Fd(), unix.F_OFD_GETLK, holder)
	return err == nil && holder.Type != unix.F_UNLCK
}

// LockExclusive waits until no plan is being written, and keeps any from being written until the
// returned lock is closed: what is not in the ledger by then, no delegate makes. It fails with
// ErrBusy if ctx ends first.
func (l Ledger) LockExclusive(ctx context.Context) (io.Closer, error) {
	dir, err := lockDirectory(ctx, l.dir, unix.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("lock the ledger: %w", err)
	}
	return dir, nil
}

// lockDirectory locks the ledger's directory itself. That takes no space on its disk, and all
// versions of kactus do it.
func lockDirectory(ctx context.Context, path string, how int) (*os.File, error) {
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

func flock(ctx context.Context, file *os.File, how int) error {
	return poll(ctx, func() error { return unix.Flock(int(file.Fd()), how|unix.LOCK_NB) })
}

// poll tries to lock until ctx ends: the system calls that wait cannot be interrupted by a context.
// A lock that is free is taken even after ctx has ended, so that a roll-back does not lose to the
// clock.
func poll(ctx context.Context, try func() error) error {
	const shortest, longest = 500 * time.Microsecond, 20 * time.Millisecond
	for pause := shortest; ; pause = min(2*pause, longest) {
		err := try()
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EINTR) {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w: %w", ErrBusy, context.Cause(ctx))
		}
	}
}
