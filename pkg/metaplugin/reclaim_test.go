package metaplugin

import (
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
)

func TestReclaim_LeavesOrphansThatAreAttachedAgain(t *testing.T) {
	eth0 := ledger.Attachment{Attachment: plan.Attachment{IfName: "eth0"}}
	net1 := ledger.Attachment{Attachment: plan.Attachment{IfName: "net1"}}
	r := ledger.Record{
		Attachments: []ledger.Attachment{eth0},
		Orphans:     []ledger.Attachment{eth0, net1, net1},
	}
	expectEqual(t, "orphans to reclaim", ifNames(orphansToReclaim(r)), "net1, net1")
}
