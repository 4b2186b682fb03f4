//go:build root

package metaplugin

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
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
		"a missing record": func(n *testNode) error { return os.Remove(n.path("ledger/c2.json")) },
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
