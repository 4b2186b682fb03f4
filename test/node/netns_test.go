package node

import (
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOnOwnThread_IsNeverTheMainThread(t *testing.T) {
	// So many at a time that the Go runtime uses every thread that it has.
	const calls = 100
	var all, entered sync.WaitGroup
	entered.Add(calls)
	threads := make([]int, calls)
	for i := range calls {
		all.Go(func() {
			_ = OnOwnThread(func() error {
				threads[i] = unix.Gettid()
				entered.Done()
				entered.Wait()
				return nil
			})
		})
	}
	all.Wait()
	if slices.Contains(threads, unix.Getpid()) {
		t.Error("a call was on the main thread")
	}
	slices.Sort(threads)
	if own := len(slices.Compact(threads)); own != calls {
		t.Errorf("%d calls at a time had %d threads", calls, own)
	}
}
