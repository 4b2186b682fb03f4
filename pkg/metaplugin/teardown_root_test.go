//go:build root

package metaplugin

import (
	"os"
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

func TestDel_MissingPluginLeavesAnOrphan(t *testing.T) {
	n, req := newStuckPod(t)
	must(t, os.Remove(n.path("plugins/stuck")))
	n.del(req)
	n.expectPodRemoved()
	n.expectOneOrphan()
	n.run("which another DEL leaves alone", func() {
		n.del(req)
		n.expectOneOrphan()
	})
	n.run("and the Pod can be added again", func() {
		n.api.annotation = ""
		n.add(req)
		n.del(req)
		n.expectOneOrphan()
	})
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
