//go:build root

package metaplugin

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

// newUpgradedPod is a running Pod with the networks green and blue whose record is in the form of
// the predecessor: the configurations of the delegates, as they were passed to the plugins.
func newUpgradedPod(t *testing.T) (*testNode, Request) {
	t.Helper()
	n := newTestNode(t)
	n.api.networks["default/green"] = withKey(n.bridgeConf(2), `"cniVersion": "0.3.1", "name": "green-net"`)
	n.api.networks["default/blue"] = withKey(n.ptpConf(3), `"cniVersion": "0.3.1", "name": "blue-net"`)
	n.selectNetworks("green", "blue")
	req := n.request(n.conf(withKey(n.ptpConf(1), `"cniVersion": "0.3.1", "name": "main"`)))
	n.add(req)
	var delegates []map[string]json.RawMessage
	for _, a := range n.record().Attachments {
		stdin, err := a.Config.Plugins[0].Stdin(map[string]json.RawMessage{
			"name": json.RawMessage(`"` + a.Config.Name + `"`), "cniVersion": json.RawMessage(`"0.3.1"`),
		})
		must(t, err)
		var delegate map[string]json.RawMessage
		must(t, json.Unmarshal(stdin, &delegate))
		if a.IfName == "eth0" {
			delegate["masterPlugin"] = json.RawMessage("true")
		}
		delegates = append(delegates, delegate)
	}
	data, err := json.Marshal(delegates)
	must(t, err)
	must(t, os.WriteFile(n.path("ledger/"+container), data, 0o600))
	must(t, os.Remove(n.path("ledger/"+container+".json")))
	return n, req
}

func TestPredecessor_DelLeavesNothing(t *testing.T) {
	for name, change := range map[string]func(n *testNode, req *Request){
		"while the Pod's namespace is there": func(*testNode, *Request) {},
		"without CNI_NETNS":                  func(_ *testNode, req *Request) { req.Netns = "" },
		"after the namespace went":           func(n *testNode, _ *Request) { n.netns.Remove() },
	} {
		t.Run(name, func(t *testing.T) {
			n, req := newUpgradedPod(t)
			n.expectLeases(3)
			change(n, &req)
			n.del(req)
			n.expectNothingLeftOutside()
			n.del(req)
		})
	}
}

func TestPredecessor_HotOperations(t *testing.T) {
	n, req := newUpgradedPod(t)
	index := n.netns.Link(t, greenIf).Attrs().Index
	n.run("a hot ADD of what is attached touches nothing", func() {
		result := parsed(n.T, n.add(n.hotRequest(req.Conf, "green")))
		if len(result.Interfaces) != 1 || result.Interfaces[0].Mac != n.netns.MAC(n, greenIf) {
			n.Errorf("got %v", result)
		}
		expectEqual(n.T, "index", n.netns.Link(n, greenIf).Attrs().Index, index)
	})
	n.run("a hot DEL removes one network alone", func() {
		n.del(n.hotRequest(req.Conf, "green"))
		n.expectInterfaces("eth0", blueIf)
		n.expectLeases(2)
		expectEqual(n.T, "files in the ledger", n.ledgerFiles(), "["+container+".json]")
	})
	n.run("a hot ADD attaches it again", func() {
		n.add(n.hotRequest(req.Conf, "green"))
		n.expectInterfaces("eth0", blueIf, greenIf)
		if n.record().Netns.Path != n.netns.Path {
			n.Errorf("the namespace is %+v", n.record().Netns)
		}
	})
	n.run("an ADD of the Pod touches nothing", func() {
		n.addFails(req, CodeAttached)
		n.expectInterfaces("eth0", blueIf, greenIf)
	})
	n.del(req)
	n.expectNothingLeft()
}

func TestPredecessor_CheckPasses(t *testing.T) {
	n, req := newUpgradedPod(t)
	req.Conf.PrevResult = json.RawMessage(`{"cniVersion": "1.0.0"}`)
	must(t, n.plugin.Check(t.Context(), req))
}

func TestPredecessor_IsNotReclaimed(t *testing.T) {
	n, req := newUpgradedPod(t)
	conf := n.conf110(`{"type": "ptp"}`)
	conf.ValidAttachments = []types.GCAttachment{}
	if (collection{now: time.Now}).isStale(n.record()) {
		n.Error("stale for the delegates that a GC is forwarded to")
	}
	must(t, n.plugin.GC(t.Context(), Request{Conf: conf}))
	must(t, n.plugin.Reclaim(t.Context(), func(ledger.Record) bool { return true }))
	n.expectInterfaces("eth0", blueIf, greenIf)
	n.expectLeases(3)
	n.del(req)
	n.expectNothingLeft()
}

func TestPredecessor_CorruptRecordIsQuarantined(t *testing.T) {
	n, req := newUpgradedPod(t)
	must(t, os.WriteFile(n.path("ledger/"+container), []byte(`[{"type": "../sh"}]`), 0o600))
	n.del(req)
	n.expectLeases(2) // the default network is torn down by the netconf
	if files := n.ledgerFiles(); len(files) != 1 || files[0] == container {
		t.Errorf("got %v", files)
	}
}

// The predecessor recorded neither the interface of the default network nor the Pod.
func TestPredecessor_DelNamesInterfaceAndPod(t *testing.T) {
	n := newTestNode(t)
	n.script("old", `case $CNI_ARGS in *K8S_POD_NAME=app*) pod=app; esac
echo $CNI_COMMAND $CNI_IFNAME $pod >>calls`)
	n.undeletable()
	must(t, os.MkdirAll(n.path("ledger"), 0o700))
	const record = `[{"type": "old", "name": "n", "masterPlugin": true}, {"type": "old", "networkName": "green"}]`
	must(t, os.WriteFile(n.path("ledger/"+container), []byte(record), 0o600))
	req := n.request(n.conf(`{"type": "stuck"}`))
	req.IfName = "net0"
	n.del(req)
	n.expectCalls("DEL "+greenIf+" app", "DEL net0 app")
	n.expectNothingLeft()
}
