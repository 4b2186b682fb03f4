//go:build root

package metaplugin

import (
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
)

func TestHotDel_LeavesTheOtherNetworks(t *testing.T) {
	n, req := newRunningPod(t)
	n.api.networks["tenant/blue"] = n.ptpConf(3)
	n.add(n.hotRequest(req.Conf, "green"))
	n.add(n.hotRequest(req.Conf, "blue"))
	n.del(n.hotRequest(req.Conf, "green"))
	n.expectInterfaces("eth0", blueIf)
	n.expectLeases(2)
	if _, known := n.record().Find(greenIf); known {
		t.Error("the ledger still has green")
	}
	n.run("and does so again", func() {
		n.del(n.hotRequest(req.Conf, "green"))
		n.expectInterfaces("eth0", blueIf)
	})
	n.del(req)
	n.expectNothingLeft()
}

func TestHotDel_OfAnUnknownContainerSucceeds(t *testing.T) {
	n := newTestNode(t)
	n.recorder("master")
	n.del(n.hotRequest(n.conf(`{"type": "master"}`), "green"))
	n.expectCalls()
	n.expectNothingLeft()
}

func TestHotDel_ReportsACorruptRecordOnce(t *testing.T) {
	n, req := newRunningPod(t)
	green := n.hotRequest(req.Conf, "green")
	n.add(green)
	n.corrupt()
	n.delFails(green, types.ErrIOFailure, "network green", greenIf, "is corrupt")
	n.del(green)
	n.expectInterfaces("eth0", greenIf)
	n.del(req)
	n.expectInterfaces(greenIf)
}

func TestHotDel_NeverOrphans(t *testing.T) {
	n, req := newStuckPod(t)
	n.now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for range 4 {
		n.delFails(n.hotRequest(req.Conf, "green"), CodeDelegate, "network green")
		n.now = n.now.Add(time.Hour)
	}
	expectEqual(t, "orphans", len(n.record().Orphans), 0)
	n.expectInterfaces("eth0")
}
