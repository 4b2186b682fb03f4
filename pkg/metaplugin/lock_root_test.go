//go:build root

package metaplugin

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// leaveRunning plays a kactus that is killed while a plugin runs: the lock is held by a process
// that inherited it.
func (n *testNode) leaveRunning(attr *syscall.SysProcAttr) (ended <-chan struct{}) {
	n.Helper()
	locked := n.lock(container)
	cmd := exec.Command("sleep", "1000")
	cmd.ExtraFiles, cmd.SysProcAttr = []*os.File{locked.LockFile()}, attr
	must(n, cmd.Start())
	must(n, locked.LockFile().Close())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait()
	}()
	n.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
	})
	return done
}

func hasEnded(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestLock_FreesWhatAKilledKactusLeft(t *testing.T) {
	n := newTestNode(t)
	daemon := n.leaveRunning(&syscall.SysProcAttr{Setsid: true})
	start := time.Now()
	locked, err := n.plugin.lockAny(t.Context(), container, time.Minute, addTimeout)
	must(t, err)
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("a daemon held the container for %s", took)
	}
	if hasEnded(daemon) {
		t.Error("the daemon was ended")
	}
	n.run("an operation that runs keeps the lock, and its plugins", func() {
		if n.plugin.freeAbandoned(container, 0) {
			t.Error("freed")
		}
	})
	locked.Close()
	plugin := n.leaveRunning(&syscall.SysProcAttr{Setpgid: true})
	n.run("a plugin that is not old enough goes on", func() {
		if n.plugin.freeAbandoned(container, addTimeout) || hasEnded(plugin) {
			t.Error("ended")
		}
	})
	n.run("after the wait of a DEL", func() {
		locked, err := n.plugin.lockAny(t.Context(), container, 0, 0)
		must(t, err)
		locked.Close()
		<-plugin
	})
}
