package ledger

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// lockFile opens and locks the file at path for this process alone, and waits for that until ctx ends. The file lives only
// while somebody holds or awaits the lock: whoever releases it removes it first, so whoever gets it looks
// whether the file that it locked is still the one at path.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if diskFails(err) { // one that is there already serves
			if old, oerr := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0); oerr == nil {
				file, err = old, nil
			}
		}
		if err != nil {
			return nil, err
		}
		if err := flock(ctx, file, unix.LOCK_EX); err != nil {
			file.Close()
			return nil, err
		}
		current, err := isAt(file, path)
		if err != nil {
			file.Close()
			return nil, err
		}
		if current {
			return file, nil
		}
		file.Close()
	}
}

// flock asks again and again, because a blocking flock does not end with ctx.
func flock(ctx context.Context, file *os.File, how int) error {
	const shortest, longest = 500 * time.Microsecond, 20 * time.Millisecond
	for pause := shortest; ; pause = min(2*pause, longest) {
		err := unix.Flock(int(file.Fd()), how|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if err != unix.EWOULDBLOCK && err != unix.EINTR {
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

// Busy says whether a verb runs on the container, in the ledger of the folder dir, at this moment. A verb that begins just then loses
// less than a millisecond by the look.
func Busy(dir, containerID string) bool {
	file, err := os.OpenFile(filepath.Join(dir, containerID+".lock"), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer file.Close()
	return unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB) == unix.EWOULDBLOCK
}

func isAt(file *os.File, path string) (bool, error) {
	mine, err := file.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Lstat(path)
	if os.IsNotExist(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return os.SameFile(mine, there), nil
}

// unlockFile removes the file and releases the lock for all that share it: a delegate that went on in the background
// has inherited the descriptor.
func unlockFile(file *os.File, path string) {
	_ = os.Remove(path)
	_ = unix.Flock(int(file.Fd()), unix.LOCK_UN)
	_ = file.Close()
}
