package delegate

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

func TestProcess_Timeout(t *testing.T) {
	t.Parallel()
	s := newScripts(t)
	s.add("one", `exec sleep 1000`)
	r := s.runner()
	r.Timeout = 200 * time.Millisecond
	start := time.Now()
	_, err := r.Add(t.Context(), newCall(t, onePlugin))
	if took := time.Since(start); took < r.Timeout || took > r.Timeout+10*time.Second {
		t.Errorf("took %v", took)
	}
	const want = "plugin one: the plugin was ended: no end within 200ms"
	if got := asError(t, err).Error(); !strings.HasSuffix(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestProcess_KillsAllThatIgnoresSIGTERM(t *testing.T) {
	t.Parallel()
	s := newScripts(t)
	s.add("one", `trap '' TERM; echo $$ >plugin
		sh -c 'trap "" TERM; echo $$ >child; echo >ready; while :; do sleep 0.05; done' & wait`)
	start := time.Now()
	_, err := s.runner().Add(s.untilThereIs("ready"), newCall(t, onePlugin))
	if took := time.Since(start); took < defaultGrace || took > defaultGrace+10*time.Second {
		t.Errorf("took %v", took)
	}
	if !errors.Is(asError(t, err), errReady) {
		t.Errorf("got %v", err)
	}
	for _, name := range []string{"plugin", "child"} {
		pid := s.pid(name)
		eventually(t, "the "+name+" has ended", func() bool { return hasEnded(pid) })
	}
}

func TestProcess_SIGTERMLetsAllCleanUp(t *testing.T) {
	t.Parallel()
	s := newScripts(t)
	s.add("one", `trap 'echo yes >plugin' TERM
		sh -c 'trap "echo yes >child; exit" TERM; echo >ready; while :; do sleep 0.05; done' &
		wait; wait; exit 1`)
	err := delErr(s.runner().Del(s.untilThereIs("ready"), newCall(t, onePlugin)))
	if !errors.Is(asError(t, err), errReady) {
		t.Errorf("got %v", err)
	}
	for _, name := range []string{"plugin", "child"} {
		if s.read(name) != "yes" {
			t.Errorf("the %s did not clean up", name)
		}
	}
}

// A plugin that is killed between two steps can leave what no DEL finds.
func TestProcess_MayEndByItselfFirst(t *testing.T) {
	t.Parallel()
	s := newScripts(t)
	s.add("one", `echo >ready; read -r go <go; echo '{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.1/24"}]}'`)
	must(t, unix.Mkfifo(s.path("go"), 0o600))
	ctx := s.untilThereIs("ready")
	context.AfterFunc(ctx, func() { _ = os.WriteFile(s.path("go"), []byte("\n"), 0) })
	result, err := s.runner().Add(ctx, newCall(t, onePlugin))
	if err != nil || len(result.IPs) != 1 {
		t.Errorf("got %v, %v", result, err)
	}
}

// A DEL that follows must not run beside an IPAM plugin that still makes its lease.
func TestProcess_KilledPluginLeavesItsChildTime(t *testing.T) {
	t.Parallel()
	s := newScripts(t)
	s.add("one", `sh -c 'echo $$ >child; exec sleep 0.5' >/dev/null 2>&1 &
		while [ ! -s child ]; do sleep 0.01; done; kill -KILL $$`)
	_, err := s.runner().Add(t.Context(), newCall(t, onePlugin))
	if got := asError(t, err).Error(); !strings.Contains(got, "killed") {
		t.Errorf("got %s", got)
	}
	if pid := s.pid("child"); !hasEnded(pid) {
		t.Error("the child still runs")
	}
}

func TestEndGroup(t *testing.T) {
	t.Parallel()
	s := newScripts(t)
	s.add("one", `trap '' TERM; echo $$ >plugin; sh -c 'echo $$ >child; echo >ready; exec sleep 1000'; exec sleep 1000`)
	cmd := exec.Command(s.path("one"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(t, cmd.Start())
	eventually(t, "the plugin runs", func() bool { return exists(s.path("ready")) })
	EndGroup(cmd.Process.Pid)
	for _, name := range []string{"plugin", "child"} {
		if !hasEnded(s.pid(name)) {
			t.Errorf("the %s still runs", name)
		}
	}
	_ = cmd.Wait()
}

func TestProcess_ContextThatHasEnded(t *testing.T) {
	s := newScripts(t)
	s.add("one", `echo ran >ran`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := delErr(s.runner().Del(ctx, newCall(t, onePlugin))); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if exists(s.path("ran")) {
		t.Error("the plugin ran")
	}
}

// A plugin may leave a process running, such as a DHCP client, which has the plugin's stdout.
func TestProcess_LeavesABackgroundProcessAlone(t *testing.T) {
	t.Parallel()
	s := newScripts(t)
	s.add("one", `sleep 1000 & echo $! >child; echo '{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.1/24"}]}'`)
	result, err := s.runner().Add(within(t, 20*time.Second), newCall(t, onePlugin))
	if err != nil || result.IPs[0].Address.String() != "10.0.0.1/24" {
		t.Errorf("got %v, %v", result, err)
	}
	if hasEnded(s.pid("child")) {
		t.Error("the process was killed")
	}
}

func TestProcess_InheritsAsDescriptor3(t *testing.T) {
	s := newScripts(t)
	s.add("one", `readlink /proc/$$/fd/3 >three; echo '{"cniVersion":"1.0.0"}'`)
	lock, err := os.Create(s.path("lock"))
	must(t, err)
	defer lock.Close()
	r := s.runner()
	r.Inherit = lock
	_, err = r.Add(t.Context(), newCall(t, onePlugin))
	must(t, err)
	if got := s.read("three"); got != lock.Name() {
		t.Errorf("descriptor 3 is %s", got)
	}
	r.Inherit = nil
	_, err = r.Add(t.Context(), newCall(t, onePlugin))
	must(t, err)
	if got := s.read("three"); got == lock.Name() {
		t.Error("a plugin inherits what is not in Inherit")
	}
}

func TestProcess_KeepsTheLockWhenKactusIsGone(t *testing.T) {
	s := newScripts(t)
	s.add("one", `sleep 1000 >/dev/null 2>&1 </dev/null & echo $! >child; echo '{"cniVersion":"1.0.0"}'`)
	l, err := ledger.Open(filepath.Join(s.dir, "ledger"), filepath.Join(s.dir, "locks"))
	must(t, err)
	record, err := l.Lock(t.Context(), "c1")
	must(t, err)
	r := s.runner()
	r.Inherit = record.LockFile()
	_, err = r.Add(t.Context(), newCall(t, onePlugin))
	must(t, err)
	pid := s.pid("child")
	must(t, record.LockFile().Close()) // as when kactus is killed
	tryLock := func() error {
		record, err := l.Lock(within(t, time.Millisecond), "c1")
		if err == nil {
			record.Close()
		}
		return err
	}
	if err := tryLock(); !errors.Is(err, ledger.ErrBusy) {
		t.Errorf("while the process runs: %v", err)
	}
	must(t, unix.Kill(pid, unix.SIGKILL))
	eventually(t, "the lock is free", func() bool { return tryLock() == nil })
}

func TestProcess_PluginThatIsBeingInstalled(t *testing.T) {
	t.Parallel()
	s := newScripts(t)
	s.add("one", `echo '{"cniVersion":"1.0.0"}'`)
	installer, err := os.OpenFile(s.path("one"), os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	defer installer.Close()
	_, err = s.runner().Add(within(t, 50*time.Millisecond), newCall(t, onePlugin))
	if !errors.Is(err, syscall.ETXTBSY) {
		t.Fatalf("while the file is being written: %v", err)
	}
	defer time.AfterFunc(150*time.Millisecond, func() { _ = installer.Close() }).Stop()
	_, err = s.runner().Add(within(t, 10*time.Second), newCall(t, onePlugin))
	must(t, err)
}

func TestProcess_PluginThatDoesNotReadStdin(t *testing.T) {
	s := newScripts(t)
	s.add("one", `echo '{"cniVersion":"1.0.0"}'`)
	c := newCall(t, `{"type": "one", "long": "`+strings.Repeat("x", 512<<10)+`"}`)
	_, err := s.runner().Add(within(t, 10*time.Second), c)
	must(t, err)
}
