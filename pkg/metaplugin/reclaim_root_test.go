//go:build root

package metaplugin

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

func TestReclaim_TearsDownWhatIsStaleAlone(t *testing.T) {
	n, _, _ := newTwoContainers(t)
	must(t, n.plugin.Reclaim(context.Background(), func(r ledger.Record) bool { return r.ContainerID == "c2" }))
	n.expectLeases(2)
	n.expectInterfaces("eth0", greenIf)
}

func TestReclaim_AsksAgainUnderTheLock(t *testing.T) {
	n, _, _ := newTwoContainers(t)
	var calls atomic.Int32
	must(t, n.plugin.Reclaim(context.Background(), func(r ledger.Record) bool {
		return r.ContainerID == "c2" && calls.Add(1) == 1 // another operation changed the record in between
	}))
	n.expectLeases(4)
}
