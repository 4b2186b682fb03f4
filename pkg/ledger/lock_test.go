package ledger

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestAVerbWaitsForTheOneThatHasTheLock(t *testing.T) {
	l, _ := open(t)
	first := lock(t, l, "c1")
	planned(t, first, "eth0")
	second := make(chan string)
	go func() {
		b, err := l.Lock(context.Background(), "c1")
		if err != nil {
			second <- err.Error()
			return
		}
		defer b.Close()
		second <- devicesOf(b.Record().Attachments)
	}()
	must(t, first.Undone("eth0"))
	planned(t, first, "net1")
	select {
	case got := <-second:
		t.Fatalf("it did not wait, and read %q", got)
	default:
	}
	first.Close()
	if got := <-second; got != "net1 " {
		t.Errorf("it read %q, not what the first left", got)
	}
}

func TestAnotherProcessHoldsTheLock(t *testing.T) {
	l, dir := open(t)
	_, end := startOther(t, "hold", dir, "c1")
	if err := tryLock(l, "c1"); !errors.Is(err, ErrBusy) {
		t.Errorf("while the other has it: %v", err)
	}
	end()
	if err := tryLock(l, "c1"); err != nil {
		t.Errorf("when it has ended: %v", err)
	}
}

func TestTheLockOfAKilledProcessIsFree(t *testing.T) {
	l, dir := open(t)
	cmd, _ := startOther(t, "plan", dir, "c1")
	must(t, cmd.Process.Kill())
	_, _ = cmd.Process.Wait()
	b := lock(t, l, "c1")
	defer b.Close()
	if got := devicesOf(b.Record().Attachments); got != "eth0 " {
		t.Errorf("its plan is %q", got)
	}
}

// The delegate of a killed kactus lives on, and what it makes must not be raced.
func TestAChildThatInheritedTheLockKeepsIt(t *testing.T) {
	l, dir := open(t)
	b := lock(t, l, "c1")
	child := exec.Command("cat")
	child.ExtraFiles = []*os.File{b.LockFile()}
	stdin, err := child.StdinPipe()
	must(t, err)
	must(t, child.Start())
	defer func() { _ = child.Process.Kill() }()
	_ = b.lock.Close() // as when the process is killed: the file stays, and nothing is unlocked
	if err := tryLock(l, "c1"); !errors.Is(err, ErrBusy) {
		t.Errorf("while the child lives: %v", err)
	}
	must(t, stdin.Close())
	must(t, child.Wait())
	if err := tryLock(l, "c1"); err != nil {
		t.Errorf("when it has ended: %v", err)
	}
	if exists(filepath.Join(dir, "c1.lock")) {
		t.Error("the lock's file is still there")
	}
}

// A plugin may leave a process behind that is meant to stay, such as a DHCP client: it must not hold the container's lock.
func TestCloseReleasesTheLockForChildrenToo(t *testing.T) {
	l, dir := open(t)
	b := lock(t, l, "c1")
	child := exec.Command("cat")
	child.ExtraFiles = []*os.File{b.LockFile()}
	stdin, err := child.StdinPipe()
	must(t, err)
	must(t, child.Start())
	defer child.Wait()
	defer stdin.Close()
	waiter := make(chan error)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		b, err := l.Lock(ctx, "c1")
		if err == nil {
			b.Close()
		}
		waiter <- err
	}()
	for opened := 0; opened < 2; time.Sleep(time.Millisecond) { // by b, and by the one that waits
		opened = 0
		files, _ := filepath.Glob("/proc/self/fd/*")
		for _, file := range files {
			if to, _ := os.Readlink(file); to == filepath.Join(dir, "c1.lock") {
				opened++
			}
		}
	}
	b.Close()
	if err := <-waiter; err != nil {
		t.Errorf("while the child lives, one that waited: %v", err)
	}
	if err := tryLock(l, "c1"); err != nil {
		t.Errorf("while the child lives, one that comes: %v", err)
	}
}

func TestContainersDoNotWaitForEachOther(t *testing.T) {
	l, _ := open(t)
	defer lock(t, l, "c1").Close()
	if err := tryLock(l, "c2"); err != nil {
		t.Error(err)
	}
}

func TestWhoeverWaitsTooLongIsToldThatTheContainerIsBusy(t *testing.T) {
	l, _ := open(t)
	defer lock(t, l, "c1").Close()
	ctx, cancel := context.WithTimeoutCause(context.Background(), 30*time.Millisecond, errors.New("the verb's time is over"))
	defer cancel()
	_, err := l.Lock(ctx, "c1")
	if !errors.Is(err, ErrBusy) {
		t.Fatalf("got %v", err)
	}
	if want := "lock the container c1 in the ledger: " + ErrBusy.Error() + ": the verb's time is over"; err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestALockThatIsFreeIsHadAfterTheDeadlineToo(t *testing.T) {
	l, _ := open(t)
	if err := tryLock(l, "c1"); err != nil { // whoever rolls back must not lose to a clock
		t.Error(err)
	}
}

// Each goroutine removes the file as it lets the lock go, while others have it open and wait: one of those must not
// take the lock of a file that is no more, beside another that made the next.
func TestTheLockIsOneWhileItsFileComesAndGoes(t *testing.T) {
	l, dir := open(t)
	const goroutines, rounds = 16, 60
	var inside, entered atomic.Int32
	var group sync.WaitGroup
	for range goroutines {
		group.Go(func() {
			for range rounds {
				b, err := l.Lock(context.Background(), "c1")
				if err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d hold the lock at once", n)
				}
				entered.Add(1)
				runtime.Gosched()
				inside.Add(-1)
				b.Close()
			}
		})
	}
	group.Wait()
	if entered.Load() != goroutines*rounds {
		t.Errorf("%d of %d had the lock", entered.Load(), goroutines*rounds)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestAPlantedSymlinkIsNotTakenForTheLocksFile(t *testing.T) {
	l, dir := open(t)
	target := filepath.Join(dir, "..", "target")
	must(t, os.Symlink(target, filepath.Join(dir, "c1.lock")))
	_ = tryLock(l, "c1")
	if exists(target) {
		t.Error("a file was made where it points")
	}
}

// tryLock locks and unlocks, and does not wait.
func tryLock(l Ledger, id string) error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b, err := l.Lock(ctx, id)
	if err == nil {
		b.Close()
	}
	return err
}
