//go:build root

package metaplugin

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
)

// timeOf returns how long do takes.
func timeOf(do func()) time.Duration {
	start := time.Now()
	do()
	return time.Since(start)
}

func (n *testNode) marks(k kind) int {
	n.Helper()
	files, err := filepath.Glob(n.path("locks/" + string(k) + "/*"))
	must(n, err)
	return len(files)
}

// expectSlow fails unless do takes one to two seconds, or a little longer on a busy machine.
func (n *testNode) expectSlow(do func()) {
	n.Helper()
	if took := timeOf(do); took < time.Second || took > 5*time.Second {
		n.Errorf("took %v", took)
	}
}

func TestPace_SlowsTheSecondFailureOfAHotOperation(t *testing.T) {
	n, req := newRunningPod(t)
	n.script("sick", `[ -e well ] || exit 1; `+emptyResult)
	n.api.networks["tenant/green"] = `{"type": "sick"}`
	n.api.networks["tenant/blue"] = `{"type": "sick"}`
	green := n.hotRequest(req.Conf, "green")
	n.addFails(green, CodeDelegate)
	n.expectSlow(func() { n.addFails(green, CodeDelegate) })
	n.expectSlow(func() { n.addFails(green, CodeDelegate) })
	n.delFails(green, CodeDelegate) // another operation, and answered at once
	n.expectSlow(func() { n.delFails(green, CodeDelegate) })
	expectEqual(t, "marks", n.marks(failedMark), 2)
	n.run("until one succeeds", func() {
		must(n, os.WriteFile(n.path("well"), nil, 0o600))
		n.del(green)
		n.add(green)
		expectEqual(n.T, "marks", n.marks(failedMark), 0)
	})
}

func TestPace_LocksNothingWhileItWaits(t *testing.T) {
	n, req := newRunningPod(t)
	n.script("sick", `echo >>ran; exit 1`)
	n.api.networks["tenant/green"] = `{"type": "sick"}`
	green := n.hotRequest(req.Conf, "green")
	n.addFails(green, CodeDelegate)
	must(t, os.Remove(n.path("ran")))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		_, err := n.plugin.Add(ctx, green)
		done <- err
	}()
	awaitFile(t, n.path("ran"))
	n.lock(container).Close()
	cancel() // whoever ends the operation does not wait
	expectError(t, <-done, CodeDelegate)
}

func TestPace_OldAndFutureFailuresDoNotCount(t *testing.T) {
	for _, age := range []time.Duration{0, failedFor - time.Second, failedFor, -time.Minute} {
		want := age >= 0 && age < failedFor
		if got := isRecent(mark{made: time.Now().Add(-age)}); got != want {
			t.Errorf("a failure %v ago is recent: %v", age, got)
		}
	}
}

func TestPace_KeepsFewMarks(t *testing.T) {
	n := newTestNode(t)
	for i := range 8 {
		n.plugin.Marks.prune(failedMark, 4, func(mark) bool { return false })
		must(t, n.plugin.Marks.set(failedMark, "failed", string(rune('a'+i))))
	}
	expectEqual(t, "marks", n.marks(failedMark), 4)
	n.plugin.Marks.prune(failedMark, 4, func(mark) bool { return true })
	expectEqual(t, "marks", n.marks(failedMark), 0)
}

func TestHotAdd_WaitsForItsNetwork(t *testing.T) {
	n, req := newRunningPod(t)
	blue := n.hotRequest(req.Conf, "blue")
	for range 2 { // the first failure and those that follow
		n.api.networksRead.Store(0)
		n.expectSlow(func() { n.addFails(blue, types.ErrTryAgainLater, "no Network blue") })
		if got := n.api.networksRead.Load(); got > 12 { // of two namespaces
			t.Errorf("%d requests to the apiserver", got)
		}
	}
	n.run("and attaches it once there is one", func() {
		api := n.plugin.API
		n.plugin.API = func() (API, error) { // is connected to anew in each try
			if n.api.networksRead.Add(1) > 2 {
				n.api.networks["tenant/blue"] = n.bridgeConf(3)
			}
			return api()
		}
		n.api.networksRead.Store(0)
		n.expectResult(n.add(blue), blueIf)
	})
}
