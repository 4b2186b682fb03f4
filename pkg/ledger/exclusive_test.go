package ledger

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

func TestLockExclusive(t *testing.T) {
	t.Run("keeps plans from being written, but nothing else", func(t *testing.T) {
		l := openLedger(t)
		r := lock(t, l, "c1")
		defer r.Close()
		writePlanned(t, r, "eth0")
		exclusive, err := l.LockExclusive(t.Context())
		must(t, err)
		ctx, cancel := context.WithTimeoutCause(t.Context(), 30*time.Millisecond, errors.New("the limit is 30ms"))
		defer cancel()
		err = r.WritePlanned(ctx, netns.ID{}, podargs.Pod{}, "", attachments(t, "net1"))
		const want = "write the plan for the container c1 to the ledger: lock the ledger: " +
			"another operation is still running: the limit is 30ms"
		if !errors.Is(err, ErrBusy) || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		if got := ifNames(r.Record().Attachments); got != "eth0" {
			t.Errorf("the record has %s", got)
		}
		must(t, r.Remove("eth0")) // a DEL does not wait
		must(t, tryLock(l, "c2"))
		must(t, exclusive.Close())
		writePlanned(t, r, "eth0")
	})
	t.Run("a plan waits until the lock is closed", func(t *testing.T) {
		l := openLedger(t)
		r := lock(t, l, "c1")
		defer r.Close()
		exclusive, err := l.LockExclusive(t.Context())
		must(t, err)
		written := make(chan error)
		planned := attachments(t, "eth0")
		go func() {
			written <- r.WritePlanned(context.Background(), netns.ID{}, podargs.Pod{}, "eth0", planned)
		}()
		eventually(t, "the plan waits", func() bool { return opened(l.dir) == 2 })
		if records, _, err := readAll(l); err != nil || len(records) != 0 {
			t.Errorf("meanwhile: %+v, %v", records, err)
		}
		must(t, exclusive.Close())
		must(t, <-written)
	})
	t.Run("waits for a plan that is being written", func(t *testing.T) {
		l := openLedger(t)
		writing, err := lockDirectory(t.Context(), l.dir, unix.LOCK_SH)
		must(t, err)
		defer writing.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		if _, err := l.LockExclusive(ctx); !errors.Is(err, ErrBusy) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		r := lock(t, l, "c1")
		defer r.Close()
		writePlanned(t, r, "eth0") // plans do not wait for each other
		must(t, writing.Close())
		exclusive, err := l.LockExclusive(t.Context())
		must(t, err)
		must(t, exclusive.Close())
	})
	t.Run("a directory that is missing", func(t *testing.T) {
		l := At("/no/such/directory", "/no/such/directory")
		if lock, err := l.LockExclusive(t.Context()); err == nil || errors.Is(err, ErrBusy) {
			t.Errorf("got %v, %v", lock, err)
		}
	})
}
