//go:build root

package metaplugin

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

// newStuckPod returns a node whose Pod has the network green, of which the DEL fails.
func newStuckPod(t *testing.T) (*testNode, Request) {
	t.Helper()
	n := newTestNode(t)
	n.undeletable()
	n.selectNetworks("green")
	n.api.networks["tenant/green"] = `{"type": "stuck"}`
	req := n.request(n.conf(n.ptpConf(1)))
	n.add(req)
	return n, req
}

func (n *testNode) expectOneOrphan() ledger.Attachment {
	n.Helper()
	r := n.record()
	if len(r.Attachments) != 0 || len(r.Orphans) != 1 || r.Orphans[0].Network != "green" {
		n.Fatalf("the ledger has the attachments %+v and the orphans %+v", r.Attachments, r.Orphans)
	}
	return r.Orphans[0]
}

// delUntilOrphan runs DELs, which fail with these words, until the attachment becomes an orphan.
func (n *testNode) delUntilOrphan(req Request, words ...string) {
	n.Helper()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, after := range []time.Duration{0, time.Minute} {
		n.now = start.Add(after)
		n.delFails(req, CodeDelegate, words...)
	}
	n.now = start.Add(orphanAfter)
	n.del(req)
	n.now = time.Time{}
}

func TestDel_TriesEveryNetwork(t *testing.T) {
	n := newTestNode(t)
	n.script("stuck", `[ $CNI_COMMAND = ADD ] && `+emptyResult+` && exit 0
		echo '{"code": 7, "msg": "stuck with '$CNI_IFNAME'"}'; exit 1`)
	n.selectNetworks("green", "blue")
	n.api.networks["tenant/green"] = `{"type": "stuck"}`
	n.api.networks["tenant/blue"] = `{"type": "stuck"}`
	req := n.request(n.conf(n.ptpConf(1)))
	n.add(req)
	err := n.delFails(req, CodeDelegate, "network green", "stuck with "+greenIf, "network blue", "stuck with "+blueIf)
	if strings.Count(err.Details, "stuck: code 7") != 2 {
		t.Errorf("details: %s", err.Details)
	}
	n.expectPodRemoved()
	left := n.record().Attachments
	if len(left) != 2 || left[0].Failures != 1 || left[0].State != ledger.Attached {
		t.Errorf("the ledger has %+v", left)
	}
	n.script("stuck", ``) // works again
	n.del(req)
	n.expectNothingLeft()
}

// A plugin may be missing for a moment, while the directory of plugins is updated.
func TestDel_MissingPluginIsAFailureLikeAnyOther(t *testing.T) {
	n, req := newStuckPod(t)
	must(t, os.Remove(n.path("plugins/stuck")))
	n.delUntilOrphan(req, "network green", "missing")
	n.expectPodRemoved()
	n.expectOneOrphan()
	n.run("the Pod can be added again", func() {
		n.api.annotation = ""
		n.add(req)
		n.del(req)
		n.expectOneOrphan()
	})
	n.run("a later DEL tries the orphan again", func() {
		n.script("stuck", ``)
		n.del(req)
		n.expectNothingLeft()
	})
}

func TestDel_TimesInTheFuture(t *testing.T) {
	n, req := newStuckPod(t)
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	n.now = start.Add(24 * time.Hour) // before the clock was set back
	n.delFails(req, CodeDelegate, "network green")
	for _, after := range []time.Duration{0, time.Minute} {
		n.now = start.Add(after)
		n.delFails(req, CodeDelegate, "network green")
	}
	n.now = start.Add(orphanAfter)
	n.del(req)
	n.expectOneOrphan()
}

// One plugin of a chain that always fails must not keep what the others made.
func TestDel_GivesUpOnlyTheFailingPlugin(t *testing.T) {
	n := newTestNode(t)
	n.recorder("first")
	n.recorder("last")
	n.script("broken", `[ $CNI_COMMAND = DEL ] && exit 1; `+emptyResult)
	n.recorder("master")
	n.selectNetworks("green")
	n.api.networks["tenant/green"] = `{"plugins": [{"type": "first"}, {"type": "broken"}, {"type": "last"}]}`
	req := n.request(n.conf(`{"type": "master"}`))
	n.add(req)
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	must(t, os.Remove(n.path("calls")))
	for _, after := range []time.Duration{0, time.Minute} {
		n.now = start.Add(after)
		n.delFails(req, CodeDelegate, "plugin broken")
	}
	n.expectCalls("DEL "+greenIf, "DEL eth0") // last and master, once; first waits for broken
	n.now = start.Add(orphanAfter)
	n.del(req)
	n.expectCalls("DEL "+greenIf, "DEL eth0", "DEL "+greenIf)
	if orphan := n.expectOneOrphan(); !slices.Equal(orphan.TornDown, []int{2, 0}) {
		t.Errorf("torn down: %v", orphan.TornDown)
	}
	n.run("a reclaim tries that plugin alone", func() {
		n.recorder("broken")
		must(t, n.plugin.Reclaim(t.Context(), func(ledger.Record) bool { return true }))
		n.expectCalls("DEL "+greenIf, "DEL eth0", "DEL "+greenIf, "DEL "+greenIf)
		n.expectNothingLeft()
	})
}

// The DEL of some plugins does nothing without the result of the ADD.
func TestAdd_RollsBackAChainWithItsPartialResult(t *testing.T) {
	n := newTestNode(t)
	n.recorder("master")
	n.script("first", `[ $CNI_COMMAND = DEL ] && cat >first.DEL
		echo '{"cniVersion":"1.0.0","ips":[{"address":"10.9.0.2/24"}]}'`)
	n.script("second", `[ $CNI_COMMAND = DEL ]`)
	n.selectNetworks("green")
	n.api.networks["tenant/green"] = `{"plugins": [{"type": "first"}, {"type": "second"}]}`
	n.addFails(n.request(n.conf(`{"type": "master"}`)), CodeDelegate, "plugin second")
	stdin := n.read("first.DEL")
	if !strings.Contains(stdin, `"prevResult"`) || !strings.Contains(stdin, "10.9.0.2/24") {
		t.Errorf("the DEL got %s", stdin)
	}
}

func TestDel_OrphansWhatKeepsFailing(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		name string
		fail []time.Duration // the DELs that fail
		last time.Duration   // the DEL that succeeds
	}{
		{"three times in five minutes", []time.Duration{0, time.Minute}, 5 * time.Minute},
		{"not before five minutes", []time.Duration{0, 1, 2, 3, time.Minute, 5*time.Minute - 1}, 5 * time.Minute},
		{"not before the third time", []time.Duration{0, time.Hour}, time.Hour + 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, req := newStuckPod(t)
			for i, after := range tt.fail {
				n.now = start.Add(after)
				n.delFails(req, CodeDelegate, "network green")
				expectEqual(t, "failures", n.record().Attachments[0].Failures, i+1)
			}
			n.now = start.Add(tt.last)
			n.del(req)
			orphan := n.expectOneOrphan()
			if orphan.Failures != len(tt.fail)+1 || !orphan.FailingSince.Equal(start) {
				t.Errorf("%d failures since %s", orphan.Failures, orphan.FailingSince)
			}
		})
	}
}

func TestDel_LedgerCannotBeWritten(t *testing.T) {
	t.Run("all is torn down, and the runtime must try again", func(t *testing.T) {
		n, req := newGreenPod(t)
		n.store.fail("Remove")
		n.delFails(req, types.ErrIOFailure, errDisk.Error())
		n.expectPodRemoved()
		n.store.fail()
		n.del(req)
		n.expectNothingLeft()
	})
	t.Run("a failure that is not recorded is reported all the same", func(t *testing.T) {
		n, req := newStuckPod(t)
		n.store.fail("MarkFailed", "Orphan")
		n.delFails(req, CodeDelegate, "network green")
		n.expectPodRemoved()
	})
}
