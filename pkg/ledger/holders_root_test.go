//go:build root

package ledger

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startHolder starts a process that inherits the lock, as a plugin does.
func startHolder(t *testing.T, r *LockedRecord, attr *syscall.SysProcAttr) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	cmd.ExtraFiles, cmd.SysProcAttr = []*os.File{r.LockFile()}, attr
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

var (
	asPlugin = &syscall.SysProcAttr{Setpgid: true}
	asDaemon = &syscall.SysProcAttr{Setsid: true}
)

func TestHolders(t *testing.T) {
	l := openLedger(t)
	r := lock(t, l, "c1")
	defer lock(t, l, "c2").Close()
	plugin, daemon := startHolder(t, r, asPlugin).Process.Pid, startHolder(t, r, asDaemon).Process.Pid
	check := func(want map[int]Holder) {
		t.Helper()
		holders := l.Holders("c1")
		for _, h := range holders {
			w, known := want[h.PID]
			if !known || h.Operation != w.Operation || h.Daemon != w.Daemon || w.Group != 0 && h.Group != w.Group {
				t.Errorf("got %+v, want %+v", h, w)
			}
			if h.Age < -time.Second || h.Age > time.Hour {
				t.Errorf("the process %d has run for %s", h.PID, h.Age)
			}
		}
		if len(holders) != len(want) {
			t.Errorf("%d holders, want %d", len(holders), len(want))
		}
	}
	want := map[int]Holder{
		os.Getpid(): {Operation: true},
		plugin:      {Group: plugin},
		daemon:      {Group: daemon, Daemon: true},
	}
	check(want)
	must(t, r.LockFile().Close()) // as when kactus is killed
	delete(want, os.Getpid())
	check(want)
	if got := l.Holders("c3"); len(got) != 0 {
		t.Errorf("of a container that nobody locked: %+v", got)
	}
}

func TestReleaseFromDaemons(t *testing.T) {
	l := openLedger(t)
	busy := func(when string) {
		t.Helper()
		must(t, l.ReleaseFromDaemons("c1"))
		if err := tryLock(l, "c1"); !errors.Is(err, ErrBusy) {
			t.Errorf("%s: got %v", when, err)
		}
	}
	r := lock(t, l, "c1")
	plugin, daemon := startHolder(t, r, asPlugin), startHolder(t, r, asDaemon)
	busy("while the operation runs")
	must(t, r.LockFile().Close())
	busy("while its plugin runs")
	must(t, plugin.Process.Kill())
	_ = plugin.Wait()
	must(t, l.ReleaseFromDaemons("c1"))
	if err := tryLock(l, "c1"); err != nil {
		t.Errorf("while the daemon alone runs: %v", err)
	}
	must(t, daemon.Process.Signal(syscall.Signal(0)))
	must(t, l.ReleaseFromDaemons("c1")) // nobody holds the lock
}

// A process that takes the lock while another one looks for daemons must not lose it.
func TestReleaseFromDaemons_LeavesANewOperationAlone(t *testing.T) {
	l := openLedger(t)
	r := lock(t, l, "c1")
	startHolder(t, r, asDaemon)
	must(t, r.LockFile().Close())
	daemons := l.Holders("c1")
	must(t, l.ReleaseFromDaemons("c1"))
	defer lock(t, l, "c1").Close()
	must(t, l.release(daemons[0], "c1"))
	if err := tryLock(l, "c1"); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
}

func TestRelease_SaysWhoKeepsTheLock(t *testing.T) {
	l := openLedger(t)
	err := l.release(Holder{PID: os.Getpid(), fd: 1 << 20}, "c1")
	if err == nil || !strings.HasPrefix(err.Error(), "take the lock of the container c1 from the process ") {
		t.Errorf("got %v", err)
	}
}
