//go:build root

package metaplugin

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/delegate"
)

func TestGC_NoNetworkIsAddedWhileDelegatesRunIt(t *testing.T) {
	n, conf, _ := newTwoContainers(t)
	n.script("bridge", `[ $CNI_COMMAND = GC ] || exec `+pluginDir+`/bridge
		echo >running; while [ ! -e go ]; do sleep 0.01; done`)
	done := make(chan error)
	go func() { done <- n.plugin.GC(context.Background(), gcRequest(conf, "c1", "c2")) }()
	awaitFile(t, n.path("running"))
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	n.api.networks["tenant/blue"] = n.bridgeConf(3)
	blue := n.hotRequest(conf, "blue")
	_, err := n.plugin.Add(ctx, blue)
	expectError(t, err, types.ErrTryAgainLater, "another operation is still running")
	must(t, os.WriteFile(n.path("go"), nil, 0o600))
	must(t, <-done)
	n.add(blue)
}

// A delegate frees the addresses of what is not in its list, under a live Pod if the list has a
// gap.
func TestGC_ForwardsNoListWithGaps(t *testing.T) {
	for name, damage := range map[string]func(n *testNode) error{
		"a corrupt record": func(n *testNode) error {
			return os.WriteFile(n.path("ledger/c2.json"), []byte("{"), 0o600)
		},
		"a record that was quarantined": func(n *testNode) error {
			return os.WriteFile(n.path("ledger/c2.json.20260101T000000.0.corrupt"), nil, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			n, conf, _ := newTwoContainers(t)
			must(t, damage(n))
			before := n.leases()
			n.gcFails(gcRequest(conf, "c1", "c2"), CodeNotForwarded, "c2")
			expectEqual(t, "runs", n.read("gc.runs"), "")
			expectEqual(t, "leases", n.leases(), before)
			n.gc(conf, "c1") // c2 is not listed, and so has nothing to lose
			n.expectValid("default", "c1/eth0")
		})
	}
}

// Runtimes list Pods on the node's own network and sandboxes that were stopped. The master delegate
// may have attached one before kactus was installed.
func TestGC_AContainerWithoutARecordIsNoGap(t *testing.T) {
	n, conf, requests := newTwoContainers(t)
	n.del(requests[1])
	n.gc(conf, "a-host", "c1", "c2")
	n.expectValid("default", "c1/eth0", "a-host/eth0", "c2/eth0")
	n.expectValid("green", "c1/"+greenIf)
	n.run("though that of another is quarantined", func() {
		must(n, os.WriteFile(n.path("ledger/c3.json.20260101T000000.0.corrupt"), nil, 0o600))
		n.gc(conf, "a-host", "c1")
		n.expectValid("default", "c1/eth0", "a-host/eth0")
		n.gcFails(gcRequest(conf, "a-host", "c1", "c3"), CodeNotForwarded, "c3")
	})
}

// A DEL may take all of the time that the runtime has.
func TestGC_ForwardsBeforeItReclaims(t *testing.T) {
	n, conf, _ := newTwoContainers(t)
	n.script("late", `[ $CNI_COMMAND != DEL ] || [ -e gc.default ] || exit 1; `+emptyResult)
	n.api.networks["tenant/blue"] = `{"type": "late"}`
	n.selectNetworks("blue")
	n.add(n.otherContainer("c3", conf))
	n.gc(conf, "c1", "c2")
	n.expectValid("default", "c1/eth0", "c2/eth0")
	expectEqual(t, "files in the ledger", n.ledgerFiles(), "[c1.json c2.json]")
}

// timed are Delegates that note until when a GC and a DEL may run.
type timed struct {
	Delegates
	gc, del *time.Time
}

func (d timed) GC(ctx context.Context, _ cniconf.Chain, _ []types.GCAttachment) error {
	*d.gc, _ = ctx.Deadline()
	return nil
}

func (d timed) Del(ctx context.Context, _ delegate.Call) ([]int, error) {
	*d.del, _ = ctx.Deadline()
	return nil, nil
}

func (d timed) DelEach(ctx context.Context, c delegate.Call) ([]int, error) { return d.Del(ctx, c) }

func TestGC_EndsBeforeTheRuntimeKillsIt(t *testing.T) {
	n := newTestNode(t)
	n.recorder("master")
	conf := n.conf110(`{"type": "master"}`)
	n.add(n.request(conf))
	var gc, del time.Time
	n.plugin.Delegates = func(lock *os.File) Delegates { return timed{n.delegates(lock), &gc, &del} }
	start := time.Now()
	n.gc(conf)
	for name, deadline := range map[string]time.Time{"GC": gc, "DEL": del} {
		if left := deadline.Sub(start); left < time.Second || left > 24*time.Second { // and two more to end the plugin
			t.Errorf("the delegate's %s may run for %v", name, left)
		}
	}
}

func TestGC_DelegatesOfOneNameShareTheList(t *testing.T) {
	n, conf, _ := newTwoContainers(t)
	n.api.networks["tenant/blue"] = withKey(n.bridgeConf(2), `"name": "green", "mtu": 1400`) // the addresses of green
	n.selectNetworks("blue")
	n.add(n.otherContainer("c3", conf))
	n.gc(conf, "c1", "c2", "c3")
	n.expectValid("green", "c1/"+greenIf, "c2/"+greenIf, "c3/"+blueIf)
	expectEqual(t, "runs, one for each configuration", n.read("gc.runs"), "ran\nran\nran")
}

func TestGC_DoesNotListWhatCouldNotBeTornDown(t *testing.T) {
	n, conf, _ := newTwoContainers(t)
	n.script("sick", `[ $CNI_COMMAND = DEL ] && exit 1; [ $CNI_COMMAND = GC ] && cat >gc.blue
		echo '{"cniVersion": "1.1.0"}'`)
	n.api.networks["tenant/blue"] = `{"type": "sick"}`
	n.selectNetworks("blue")
	for _, id := range []string{"c3", "c4"} {
		n.add(n.otherContainer(id, conf))
	}
	n.gcFails(gcRequest(conf, "c1", "c2", "c3"), CodeDelegate, "container c4", "network blue")
	n.expectValid("blue", "c3/"+blueIf)
}
