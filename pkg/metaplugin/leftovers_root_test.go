//go:build root

package metaplugin

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
)

// delAnother adds and deletes another container than the test's.
func (n *testNode) delAnother(id string, conf netconf.Conf) {
	n.Helper()
	annotation := n.api.annotation
	n.api.annotation = ""
	req := n.otherContainer(id, conf)
	n.add(req)
	n.del(req)
	n.api.annotation = annotation
}

func TestDel_ReclaimsWhatAnotherContainerLeft(t *testing.T) {
	n, req := newStuckPod(t)
	conf := n.conf(n.ptpConf(1))
	n.delFails(req, CodeDelegate, "network green") // the one DEL that the runtime sends
	n.run("not while the network namespace lives", func() {
		n.script("stuck", ``)
		n.delAnother("c2", conf)
		if left := n.record().Attachments; len(left) != 1 {
			t.Errorf("left: %+v", left)
		}
	})
	n.netns.Remove()
	n.run("not while the DEL still fails, nor does that fail the other DEL", func() {
		n.undeletable()
		n.delAnother("c3", conf)
		if left := n.record().Attachments; len(left) != 1 || left[0].Failures != 2 {
			t.Errorf("left: %+v", left)
		}
	})
	n.run("in a bounded time", func() {
		n.script("stuck", `exec sleep 1000`)
		start := time.Now()
		n.delAnother("c4", conf)
		if took := time.Since(start); took > leftoversTimeout+10*time.Second {
			t.Errorf("took %s", took)
		}
	})
	n.script("stuck", ``)
	for i := 0; i < 10 && len(n.ledgerFiles()) > 0; i++ {
		n.delAnother(fmt.Sprintf("d%d", i), conf)
	}
	n.expectNothingLeftOutside()
}

// After a boot no DEL comes for the Pods of before, unless the runtime remembers them.
func TestDel_ReclaimsWhatABootLeft(t *testing.T) {
	n := newTestNode(t)
	conf := n.conf(n.ptpConf(1))
	for _, id := range []string{"a1", "a2", "a3"} {
		req := n.otherContainer(id, conf)
		n.add(req)
		(&netnstest.Netns{Path: req.Netns}).Remove()
	}
	n.expectLeases(3)
	must(t, os.RemoveAll(n.path("locks")))
	n.store.Store = LedgerStore(n.path("ledger"), n.path("locks"), "")
	// Each DEL reclaims one container, or fails to do so in its two seconds on a busy machine.
	for i := 0; i < 30 && len(n.ledgerFiles()) > 0; i++ {
		n.delAnother(fmt.Sprintf("b%d", i), conf)
	}
	n.expectNothingLeftOutside()
}
