package ledger

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// oldLockPath returns the file that versions without a lockDir lock.
func oldLockPath(l Ledger, id string) string { return filepath.Join(l.dir, id+".lock") }

// oldLock locks a container as a version without a lockDir does: with a flock on a file that it
// creates, and that the one before it may have removed meanwhile.
func oldLock(l Ledger, id string) (*os.File, error) {
	path := oldLockPath(l, id)
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
			return nil, err
		}
		var locked, found unix.Stat_t
		err = unix.Fstat(int(file.Fd()), &locked)
		if err == nil && unix.Lstat(path, &found) == nil && locked.Ino == found.Ino && locked.Dev == found.Dev {
			return file, nil
		}
		file.Close()
	}
}

// oldUnlock removes the lock file of an old version, and unlocks it.
func oldUnlock(file *os.File) {
	_ = os.Remove(file.Name())
	_ = unix.Flock(int(file.Fd()), unix.LOCK_UN)
	_ = file.Close()
}

// While a node is upgraded, an operation of the old version may still run.
func TestLock_WaitsForAnOldOperation(t *testing.T) {
	t.Run("until it has ended", func(t *testing.T) {
		l := openLedger(t)
		old, err := oldLock(l, "c1")
		must(t, err)
		ctx, cancel := context.WithTimeoutCause(t.Context(), 30*time.Millisecond, errors.New("the limit is 30ms"))
		defer cancel()
		_, err = l.Lock(ctx, "c1")
		const want = "lock the container c1 in the ledger: another operation is still running: the limit is 30ms"
		if !errors.Is(err, ErrBusy) || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		if l.Busy("c1") {
			t.Error("the new lock was not released")
		}
		must(t, tryLock(l, "c2"))
		waiter := make(chan error)
		go func() {
			r, err := l.Lock(context.Background(), "c1")
			if err == nil {
				r.Close()
			}
			waiter <- err
		}()
		eventually(t, "one waits", func() bool { return opened(oldLockPath(l, "c1")) == 2 })
		oldUnlock(old)
		must(t, <-waiter)
		if left := fileNames(t, l.dir); left != "" {
			t.Errorf("left in the ledger's directory: %s", left)
		}
	})
	t.Run("in another process", func(t *testing.T) {
		l := openLedger(t)
		process := startOther(t, "hold-old", l, "c1")
		if err := tryLock(l, "c1"); !errors.Is(err, ErrBusy) {
			t.Errorf("while the old operation runs: %v", err)
		}
		process.end() // as if it crashed: the file is left
		must(t, tryLock(l, "c1"))
		if exists(oldLockPath(l, "c1")) {
			t.Error("the old lock file is left")
		}
	})
	t.Run("that was killed, while its delegate runs", func(t *testing.T) {
		l := openLedger(t)
		process := startOther(t, "hold-old", l, "c1", withChild)
		process.kill()
		if err := tryLock(l, "c1"); !errors.Is(err, ErrBusy) {
			t.Errorf("while the delegate runs: %v", err)
		}
		if !exists(oldLockPath(l, "c1")) {
			t.Error("the old lock file is gone, while it is locked")
		}
		process.killChild()
		eventually(t, "the lock is free after the delegate ended", func() bool { return tryLock(l, "c1") == nil })
		if exists(oldLockPath(l, "c1")) {
			t.Error("the old lock file is left")
		}
	})
}

func TestLock_OldLockFile(t *testing.T) {
	t.Run("left by an operation that was killed", func(t *testing.T) {
		l := openLedger(t)
		must(t, os.WriteFile(oldLockPath(l, "c1"), nil, 0o600))
		must(t, tryLock(l, "c1"))
		if left := fileNames(t, l.dir); left != "" {
			t.Errorf("left in the ledger's directory: %s", left)
		}
	})
	t.Run("a symlink", func(t *testing.T) {
		l := openLedger(t)
		target := filepath.Join(t.TempDir(), "target")
		must(t, os.Symlink(target, oldLockPath(l, "c1")))
		must(t, tryLock(l, "c1"))
		if exists(target) {
			t.Error("the target of the symlink was created")
		}
	})
	t.Run("a FIFO", func(t *testing.T) {
		l := openLedger(t)
		must(t, unix.Mkfifo(oldLockPath(l, "c1"), 0o600))
		must(t, tryLock(l, "c1"))
	})
}

// An operation of the old version that is running, and the new ones that start meanwhile, each hold
// the container alone. The other direction is not covered: an old operation that starts while a new
// one runs does not see it.
func TestLock_OldAndNewNeverOverlap(t *testing.T) {
	l := openLedger(t)
	const rounds, newOperations = 6, 15
	var inside atomic.Int32
	enter := func(what string) {
		if n := inside.Add(1); n != 1 {
			t.Errorf("%s: %d hold the container at once", what, n)
		}
	}
	for range rounds {
		old, err := oldLock(l, "c1")
		must(t, err)
		enter("old")
		var group sync.WaitGroup
		for range newOperations {
			group.Go(func() {
				r, err := l.Lock(context.Background(), "c1")
				if err != nil {
					t.Error(err)
					return
				}
				enter("new")
				time.Sleep(50 * time.Microsecond)
				inside.Add(-1)
				r.Close()
			})
		}
		time.Sleep(2 * time.Millisecond)
		inside.Add(-1)
		oldUnlock(old)
		group.Wait()
	}
	if left := fileNames(t, l.dir); left != "" {
		t.Errorf("left in the ledger's directory: %s", left)
	}
}

func TestIsAt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		file, err := os.Create(path)
		must(t, err)
		t.Cleanup(func() { file.Close() })
		return file
	}
	check := func(what string, file *os.File, want bool) {
		t.Helper()
		if got := isAt(file, path); got != want {
			t.Errorf("%s: got %v", what, got)
		}
	}
	file := open()
	check("the file", file, true)
	must(t, os.Remove(path))
	check("a file that was removed", file, true)
	open()
	check("a file that was replaced", file, false)
	file.Close()
	check("a file that cannot be asked", file, true)
}
