package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestHungDelegate(t *testing.T) {
	t.Parallel()
	t.Run("is ended after delegateTimeout with all that it started, and rolled back", func(t *testing.T) {
		tn := newTenant(t)
		tn.conf.DelegateTimeout = "5s"
		tn.script(t, "hangs", `[ "$CNI_COMMAND" = ADD ] || exec `+suite.plugins+`/bridge
trap '' TERM
`+suite.plugins+`/bridge >/dev/null
sh -c 'trap "" TERM; echo $$ >`+tn.dir+`/child; while :; do sleep 0.05; done' &
echo $$ >`+tn.dir+`/hung
wait
`)
		tn.bridges(t, "green")
		tn.network(t, "slow", "{"+tn.gatedBridge(t, "hangs")+"}")
		p := tn.pod(t, `[{"name":"green"},{"name":"slow"}]`)
		begin := time.Now()
		expectError(t, p.addError(t), 102, "slow", "hangs", "did not end within 5s")
		if took := time.Since(begin); took > 60*time.Second {
			t.Errorf("it took %v", took)
		}
		p.expectGone(t)
		for _, name := range []string{"hung", "child"} {
			eventually(t, name+" ends", func() bool { return processEnded(t, filepath.Join(tn.dir, name)) })
		}
	})
	t.Run("ends at SIGTERM by itself where it heeds that", func(t *testing.T) {
		tn := newTenant(t)
		tn.conf.DelegateTimeout = "5s"
		tn.script(t, "hangs", `[ "$CNI_COMMAND" = ADD ] || exit 0
trap 'echo >`+tn.dir+`/heeded; exit 1' TERM
while :; do sleep 0.05; done
`)
		tn.network(t, "slow", `{"type": "hangs"}`)
		p := tn.pod(t, `[{"name":"slow"}]`)
		expectError(t, p.addError(t), 102, "did not end within 5s")
		if _, err := os.Stat(filepath.Join(tn.dir, "heeded")); err != nil {
			t.Errorf("it was not told: %v", err)
		}
		p.expectGone(t)
	})
	t.Run("that leaves a process with its stdout behind does not hold the Pod", func(t *testing.T) {
		tn := newTenant(t)
		tn.script(t, "leaves", `[ "$CNI_COMMAND" = ADD ] && { sleep 1000 & echo $! >`+tn.dir+`/left; }
exec `+suite.plugins+`/bridge
`)
		tn.network(t, "slow", "{"+tn.gatedBridge(t, "leaves")+"}")
		p := tn.pod(t, `[{"name":"slow"}]`)
		begin := time.Now()
		p.add(t)
		if took := time.Since(begin); took > 60*time.Second {
			t.Errorf("it took %v", took)
		}
		if processEnded(t, filepath.Join(tn.dir, "left")) {
			t.Error("the process that was meant to stay has ended")
		}
		endProcess(t, filepath.Join(tn.dir, "left"))
		p.del(t)
		p.expectGone(t)
	})
}

// processEnded says whether the process whose ID is in that file has ended, be it that nobody waits for it.
func processEnded(t *testing.T, path string) bool {
	t.Helper()
	pid, err := os.ReadFile(path)
	succeed(t, err)
	stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func endProcess(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	succeed(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	succeed(t, err)
	succeed(t, syscall.Kill(pid, syscall.SIGKILL))
}
