package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestLock_SerializesOneContainer(t *testing.T) {
	t.Run("the next reads what the first wrote", func(t *testing.T) {
		l := openLedger(t)
		first := lock(t, l, "c1")
		writePlanned(t, first, "eth0")
		second := make(chan string)
		go func() {
			r, err := l.Lock(context.Background(), "c1")
			if err != nil {
				second <- err.Error()
				return
			}
			defer r.Close()
			second <- ifNames(r.Record().Attachments)
		}()
		must(t, first.Remove("eth0"))
		writePlanned(t, first, "net1")
		select {
		case got := <-second:
			t.Fatalf("the second did not wait, and read %q", got)
		default:
		}
		first.Close()
		if got := <-second; got != "net1" {
			t.Errorf("the second read %q", got)
		}
	})
	t.Run("16 goroutines", func(t *testing.T) {
		l := openLedger(t)
		const goroutines, rounds = 16, 60
		var inside, entered atomic.Int32
		var group sync.WaitGroup
		for range goroutines {
			group.Go(func() {
				for range rounds {
					r, err := l.Lock(context.Background(), "c1")
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
					r.Close()
				}
			})
		}
		group.Wait()
		if n := entered.Load(); n != goroutines*rounds {
			t.Errorf("%d of %d had the lock", n, goroutines*rounds)
		}
		if left := fileNames(t, l.dir); left != "" {
			t.Errorf("left in the ledger's directory: %s", left)
		}
	})
	t.Run("another process", func(t *testing.T) {
		l := openLedger(t)
		process := startOther(t, "hold", l, "c1")
		if err := tryLock(l, "c1"); !errors.Is(err, ErrBusy) {
			t.Errorf("while the other process has the lock: %v", err)
		}
		process.end()
		if err := tryLock(l, "c1"); err != nil {
			t.Errorf("after the other process ended: %v", err)
		}
	})
	t.Run("another process that was killed", func(t *testing.T) {
		l := openLedger(t)
		startOther(t, "plan", l, "c1").kill()
		must(t, tryLock(l, "c1"))
		if got, _ := recordOf(t, l, "c1"); got != "eth0" {
			t.Errorf("the plan of the killed process is %q", got)
		}
	})
}

// A delegate that a killed kactus left running must not be raced.
func TestLock_ChildKeepsItAfterParentIsKilled(t *testing.T) {
	l := openLedger(t)
	process := startOther(t, "hold", l, "c1", withChild)
	process.kill()
	if err := tryLock(l, "c1"); !errors.Is(err, ErrBusy) {
		t.Errorf("while the child runs: %v", err)
	}
	process.killChild()
	eventually(t, "the lock is free after the child ended", func() bool { return tryLock(l, "c1") == nil })
}

// A plugin may leave a process running that is meant to stay, such as a DHCP client.
func TestClose_ReleasesTheLockForChildrenToo(t *testing.T) {
	l := openLedger(t)
	r := lock(t, l, "c1")
	child := exec.Command("cat")
	child.ExtraFiles = []*os.File{r.LockFile()}
	stdin, err := child.StdinPipe()
	must(t, err)
	must(t, child.Start())
	defer func() { _ = child.Wait() }()
	defer stdin.Close()
	waiter := make(chan error)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		r, err := l.Lock(ctx, "c1")
		if err == nil {
			r.Close()
		}
		waiter <- err
	}()
	eventually(t, "both have opened the lock file", func() bool { return opened(l.lockPath()) == 2 })
	r.Close()
	if err := <-waiter; err != nil {
		t.Errorf("one that waited, while the child runs: %v", err)
	}
	if err := tryLock(l, "c1"); err != nil {
		t.Errorf("one that comes later, while the child runs: %v", err)
	}
}

// opened returns how many descriptors this process has of the file at path.
func opened(path string) int {
	n := 0
	files, _ := filepath.Glob("/proc/self/fd/*")
	for _, file := range files {
		if target, _ := os.Readlink(file); target == path {
			n++
		}
	}
	return n
}

func TestLock_DoesNotWaitForOthers(t *testing.T) {
	l := openLedger(t)
	defer lock(t, l, "c1").Close()
	t.Run("another container", func(t *testing.T) {
		must(t, tryLock(l, "c2"))
	})
	t.Run("a container of the same ID in another ledger", func(t *testing.T) {
		another, err := Open(filepath.Join(t.TempDir(), "another"), l.lockDir)
		must(t, err)
		must(t, tryLock(another, "c1"))
	})
	t.Run("the same container in the same ledger, opened again", func(t *testing.T) {
		for _, dir := range []string{l.dir, l.dir + "/", filepath.Dir(l.dir) + "/./" + filepath.Base(l.dir)} {
			again, err := Open(dir, l.lockDir)
			must(t, err)
			if err := tryLock(again, "c1"); !errors.Is(err, ErrBusy) || !again.Busy("c1") {
				t.Errorf("%s: %v", dir, err)
			}
		}
	})
}

func TestLock_Context(t *testing.T) {
	t.Run("ends while waiting", func(t *testing.T) {
		l := openLedger(t)
		defer lock(t, l, "c1").Close()
		ctx, cancel := context.WithTimeoutCause(t.Context(), 30*time.Millisecond, errors.New("the limit is 30ms"))
		defer cancel()
		_, err := l.Lock(ctx, "c1")
		if !errors.Is(err, ErrBusy) {
			t.Fatalf("got %v", err)
		}
		const want = "lock the container c1 in the ledger: another operation is still running: the limit is 30ms"
		if err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	})
	t.Run("ended before, but the lock is free", func(t *testing.T) {
		must(t, tryLock(openLedger(t), "c1"))
	})
}

func TestLock_ManyContainersUseOneFile(t *testing.T) {
	l := openLedger(t)
	must(t, tryLock(l, "c"))
	before, err := os.Stat(l.lockPath())
	must(t, err)
	for i := range 10_000 {
		must(t, tryLock(l, fmt.Sprintf("container-%d", i)))
	}
	after, err := os.Stat(l.lockPath())
	must(t, err)
	if !os.SameFile(before, after) || after.Size() != before.Size() {
		t.Errorf("the lock file was replaced or grew to %d bytes", after.Size())
	}
	if got := fileNames(t, l.lockDir); got != lockFileName+" "+unsettledName {
		t.Errorf("files in the directory of the locks: %s", got)
	}
	if got := fileNames(t, l.unsettledDir()); got != "" {
		t.Errorf("containers that are unsettled: %s", got)
	}
	if got := fileNames(t, l.dir); got != "" {
		t.Errorf("files in the directory of the ledger: %s", got)
	}
}

// Two containers that have the same byte would wait for each other.
func TestLockOffset(t *testing.T) {
	offsets := map[int64]string{}
	for _, dir := range []string{"/var/lib/kactus", "/var/lib/kactus2", ""} {
		l := At(dir, "/run/kactus")
		for i := range 10_000 {
			id := fmt.Sprintf("container-%d", i)
			offset := l.lockOffset(id)
			if offset < 0 || offset >= 1<<62 {
				t.Fatalf("%s %s: the offset %d is out of range", dir, id, offset)
			}
			if same, taken := offsets[offset]; taken {
				t.Errorf("%s %s and %s have the same offset", dir, id, same)
			}
			offsets[offset] = dir + " " + id
		}
	}
	const known = 0x241a15ff1d179710 // versions that run at the same time must agree
	if got := At("/var/lib/kactus", "").lockOffset("c1"); got != known {
		t.Errorf("the offset of c1 is %#x, want %#x", got, known)
	}
}

func TestLock_RefusesASymlink(t *testing.T) {
	l := openLedger(t)
	target := filepath.Join(t.TempDir(), "target")
	must(t, os.Symlink(target, l.lockPath()))
	err := tryLock(l, "c1")
	if !errors.Is(err, unix.ELOOP) || !strings.Contains(err.Error(), l.lockPath()) {
		t.Errorf("got %v", err)
	}
	if exists(target) {
		t.Error("the target of the symlink was created")
	}
	if l.Busy("c1") {
		t.Error("the container is busy")
	}
}

func TestLock_DirectoryWasRemoved(t *testing.T) {
	l := openLedger(t)
	must(t, os.Remove(l.lockDir))
	if err := tryLock(l, "c1"); !errors.Is(err, os.ErrNotExist) || errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
}

func TestBusy(t *testing.T) {
	l := openLedger(t)
	if l.Busy("c1") || exists(l.lockPath()) {
		t.Error("busy without a lock file, or the file was created")
	}
	r := lock(t, l, "c1")
	if !l.Busy("c1") {
		t.Error("a locked container is not busy")
	}
	if l.Busy("c2") {
		t.Error("another container is busy")
	}
	if another := At(t.TempDir(), l.lockDir); another.Busy("c1") {
		t.Error("the container of another ledger is busy")
	}
	r.Close()
	if l.Busy("c1") {
		t.Error("an unlocked container is busy")
	}
	startOther(t, "hold", l, "c2")
	if !l.Busy("c2") {
		t.Error("a container that another process has locked is not busy")
	}
}
