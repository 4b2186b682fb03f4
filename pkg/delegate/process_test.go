package delegate

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	types100 "github.com/containernetworking/cni/pkg/types/100"
	"golang.org/x/sys/unix"
)

func TestAPluginThatHangsIsEndedWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.plugin("one", `exec sleep 1000`)
	r := f.runner()
	r.Timeout = 200 * time.Millisecond
	begin := time.Now()
	_, err := r.Add(t.Context(), callOf(t, `{"type": "one"}`))
	if took := time.Since(begin); took < r.Timeout || took > r.Timeout+10*time.Second {
		t.Errorf("it took %v", took)
	}
	if want := "plugin one: it was ended: it did not end within 200ms"; !strings.HasSuffix(failure(t, err).Error(), want) {
		t.Errorf("got %v", err)
	}
}

func TestAPluginThatDoesNotWantToEndIsKilledWithAllThatItStarted(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.plugin("one", `trap '' TERM; echo $$ >plugin
		sh -c 'trap "" TERM; echo $$ >child; echo >ready; while :; do sleep 0.05; done' & wait`)
	begin := time.Now()
	_, err := f.runner().Add(f.untilThereIs("ready"), callOf(t, `{"type": "one"}`))
	if took := time.Since(begin); took < defaultGrace || took > defaultGrace+10*time.Second {
		t.Errorf("it took %v", took)
	}
	if !errors.Is(failure(t, err), errReady) {
		t.Errorf("got %v", err)
	}
	for _, name := range []string{"plugin", "child"} {
		pid := f.process(name)
		eventually(t, name+" has ended", func() bool { return ended(pid) })
	}
}

func TestAPluginAndWhatItStartedMayCleanUpWhenTheyAreEnded(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.plugin("one", `trap 'echo yes >plugin' TERM
		sh -c 'trap "echo yes >child; exit" TERM; echo >ready; while :; do sleep 0.05; done' &
		wait; wait; exit 1`)
	err := f.runner().Del(f.untilThereIs("ready"), callOf(t, `{"type": "one"}`))
	if !errors.Is(failure(t, err), errReady) {
		t.Errorf("got %v", err)
	}
	for _, name := range []string{"plugin", "child"} {
		if f.read(name) != "yes" {
			t.Errorf("the %s did not clean up", name)
		}
	}
}

var errReady = errors.New("the node goes down")

// untilThereIs is a context that ends, for errReady, when a plugin has made that file.
func (f folder) untilThereIs(name string) context.Context {
	ctx, cancel := context.WithCancelCause(f.Context())
	go func() {
		defer cancel(errReady)
		for ; f.Context().Err() == nil; time.Sleep(time.Millisecond) {
			if _, err := os.Stat(filepath.Join(f.dir, name)); err == nil {
				return
			}
		}
	}()
	return ctx
}

func TestACallWhoseTimeIsOverRunsNothing(t *testing.T) {
	f := newFolder(t)
	f.plugin("one", `echo ran >ran`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.runner().Del(ctx, callOf(t, `{"type": "one"}`)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(f.dir, "ran")); err == nil {
		t.Error("it ran")
	}
}

// A plugin may leave a process behind, such as a DHCP client, which has the plugin's stdout.
func TestAProcessThatAPluginLeavesBehindDoesNotHoldTheRunnerAndLives(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.plugin("one", `sleep 1000 & echo $! >child; echo '{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.1/24"}]}'`)
	result, err := f.runner().Add(within(t, 20*time.Second), callOf(t, `{"type": "one"}`))
	if err != nil || result.(*types100.Result).IPs[0].Address.String() != "10.0.0.1/24" {
		t.Errorf("got %v, %v", result, err)
	}
	if ended(f.process("child")) {
		t.Error("the process was killed")
	}
}

func TestAPluginInheritsTheLockAsDescriptorThree(t *testing.T) {
	f := newFolder(t)
	f.plugin("one", `readlink /proc/$$/fd/3 >three; echo '{"cniVersion":"1.0.0"}'`)
	lock := newLock(t, f)
	r := f.runner()
	r.Inherit = lock
	if _, err := r.Add(t.Context(), callOf(t, `{"type": "one"}`)); err != nil {
		t.Fatal(err)
	}
	if got := f.read("three"); got != lock.Name() {
		t.Errorf("descriptor 3 is %s", got)
	}
	r.Inherit = nil
	if _, err := r.Add(t.Context(), callOf(t, `{"type": "one"}`)); err != nil {
		t.Fatal(err)
	}
	if got := f.read("three"); got == lock.Name() {
		t.Error("it inherits the lock where it is not told to")
	}
}

func TestAProcessThatOutlivesKactusKeepsTheLock(t *testing.T) {
	f := newFolder(t)
	f.plugin("one", `sleep 1000 >/dev/null 2>&1 </dev/null & echo $! >child; echo '{"cniVersion":"1.0.0"}'`)
	lock := newLock(t, f)
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	r := f.runner()
	r.Inherit = lock
	if _, err := r.Add(t.Context(), callOf(t, `{"type": "one"}`)); err != nil {
		t.Fatal(err)
	}
	pid := f.process("child")
	_ = lock.Close() // as when kactus is killed
	next, err := os.Open(lock.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	try := func() error { return unix.Flock(int(next.Fd()), unix.LOCK_EX|unix.LOCK_NB) }
	if err := try(); err != unix.EWOULDBLOCK {
		t.Errorf("while the process lives: %v", err)
	}
	_ = unix.Kill(pid, unix.SIGKILL)
	eventually(t, "the lock is free", func() bool { return try() == nil })
}

func newLock(t *testing.T, f folder) *os.File {
	t.Helper()
	lock, err := os.Create(filepath.Join(f.dir, "c1.lock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lock.Close() })
	return lock
}

func TestAPluginThatIsBeingInstalledIsTriedAgain(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.plugin("one", `echo '{"cniVersion":"1.0.0"}'`)
	installer, err := os.OpenFile(filepath.Join(f.dir, "one"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer installer.Close()
	if _, err := f.runner().Add(within(t, 50*time.Millisecond), callOf(t, `{"type": "one"}`)); !errors.Is(err, syscall.ETXTBSY) {
		t.Fatalf("while it is written: %v", err)
	}
	defer time.AfterFunc(150*time.Millisecond, func() { _ = installer.Close() }).Stop()
	if _, err := f.runner().Add(within(t, 10*time.Second), callOf(t, `{"type": "one"}`)); err != nil {
		t.Error(err)
	}
}

// A plugin that does not read its stdin must not stop the runner, however long its configuration is.
func TestAPluginNeedNotReadItsConfiguration(t *testing.T) {
	f := newFolder(t)
	f.plugin("one", `echo '{"cniVersion":"1.0.0"}'`)
	c := callOf(t, `{"type": "one", "long": "`+strings.Repeat("x", 512<<10)+`"}`)
	if _, err := f.runner().Add(within(t, 10*time.Second), c); err != nil {
		t.Error(err)
	}
}
