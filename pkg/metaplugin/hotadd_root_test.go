//go:build root

package metaplugin

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
)

// newRunningPod returns a node whose Pod has its default network, and to which green can be added.
func newRunningPod(t *testing.T) (*testNode, Request) {
	t.Helper()
	n := newTestNode(t)
	n.api.networks["tenant/green"] = n.bridgeConf(2)
	req := n.request(n.conf(n.ptpConf(1)))
	n.add(req)
	n.api.pods.Store(0)
	return n, req
}

func TestHotAdd_AttachesOneNetwork(t *testing.T) {
	n, req := newRunningPod(t)
	mac := n.netns.MAC(t, "eth0")
	result := n.add(n.hotRequest(req.Conf, "green"))
	n.expectInterfaces("eth0", greenIf)
	n.expectResult(result, greenIf)
	expectEqual(t, "Pods read", n.api.pods.Load(), 0)
	expectEqual(t, "MAC of eth0", n.netns.MAC(t, "eth0"), mac)
	a, _ := n.record().Find(greenIf)
	expectEqual(t, "state", a.State, ledger.Attached)
	expectEqual(t, "recorded result", compact(t, a.Result), compact(t, result))
	n.del(req)
	n.expectNothingLeft()
}

func compact(t *testing.T, data json.RawMessage) string {
	t.Helper()
	var v any
	must(t, json.Unmarshal(data, &v))
	out, err := json.Marshal(v)
	must(t, err)
	return string(out)
}

func TestHotAdd_AgainReturnsTheSameResult(t *testing.T) {
	n, req := newRunningPod(t)
	first := n.add(n.hotRequest(req.Conf, "green"))
	mac, leases := n.netns.MAC(t, greenIf), n.leases()
	n.plugin.API = func() (API, error) { // an agent restarts while the apiserver is down
		t.Error("the hot ADD connects to the apiserver")
		return n.api, nil
	}
	second := n.add(n.hotRequest(req.Conf, "green"))
	expectEqual(t, "result", compact(t, second), compact(t, first))
	expectEqual(t, "MAC", n.netns.MAC(t, greenIf), mac)
	expectEqual(t, "leases", n.leases(), leases)
	n.run("with the MAC address that the interface has", func() {
		n.add(n.hotRequestMAC(req.Conf, "green", network.MAC(mac)))
	})
	n.run("in an older version", func() {
		conf := req.Conf
		conf.CNIVersion = "0.3.1"
		if result := n.add(n.hotRequest(conf, "green")); !strings.Contains(string(result), `"cniVersion":"0.3.1"`) {
			n.Errorf("got %s", result)
		}
	})
}

func TestHotAdd_ReturnsTheResultOfWhatAnAddMade(t *testing.T) {
	n, req := newGreenPod(t)
	n.expectResult(n.add(n.hotRequest(req.Conf, "green")), greenIf)
	n.expectLeases(2)
}

func TestHotAdd_TearsDownFirstWhatIsHalfMade(t *testing.T) {
	t.Run("by a hot ADD that was killed before it recorded the result", func(t *testing.T) {
		n, req := newRunningPod(t)
		killed := n.hotRequest(req.Conf, "green")
		locked := n.lock(container)
		planned, err := n.plugin.resolveHot(context.Background(), killed, nil)
		must(t, err)
		a := ledger.Attachment{Attachment: planned[0], State: ledger.Planned, Args: pod.CNIArgs("")}
		must(t, locked.WritePlanned(context.Background(), locked.Record().Netns, pod, "", []ledger.Attachment{a}))
		_, err = n.delegates(nil).Add(context.Background(), call(container, n.netns.Path, a))
		must(t, err)
		locked.Close()
		n.expectLeases(2)

		result := n.add(killed)
		n.expectLeases(2)
		n.expectResult(result, greenIf)
		expectEqual(t, "attachments", len(n.record().Attachments), 2)
	})
	// Agents run a DEL, and then an ADD whether the DEL succeeded or not.
	t.Run("by a DEL that failed, though the interface is there", func(t *testing.T) {
		n, req := newRunningPod(t)
		n.script("sometimes", `echo $CNI_COMMAND >>calls
			[ $CNI_COMMAND = DEL ] && [ -e broken ] && exit 1; `+emptyResult)
		n.api.networks["tenant/green"] = n.bridgeChain(2, `{"type": "sometimes"}`)
		green := n.hotRequest(req.Conf, "green")
		n.add(green)
		must(t, os.WriteFile(n.path("broken"), nil, 0o600))
		n.delFails(green, CodeDelegate)
		n.addFails(green, CodeDelegate, "tear down what an earlier ADD left half made")
		must(t, os.Remove(n.path("broken")))
		n.add(green)
		n.expectCalls("ADD", "DEL", "DEL", "DEL", "ADD")
		expectEqual(t, "failures", n.record().Attachments[1].Failures, 0)
	})
	t.Run("because its interface is lost", func(t *testing.T) {
		n, req := newRunningPod(t)
		n.add(n.hotRequest(req.Conf, "green"))
		n.delInterface(greenIf)
		result := n.add(n.hotRequest(req.Conf, "green"))
		n.expectResult(result, greenIf)
		n.expectLeases(2)
		n.del(req)
		n.expectNothingLeft()
	})
}

func TestHotAdd_Refuses(t *testing.T) {
	t.Run("another MAC address than the interface has", func(t *testing.T) {
		n, req := newRunningPod(t)
		n.add(n.hotRequestMAC(req.Conf, "green", "0a:00:00:00:00:01"))
		n.addFails(n.hotRequestMAC(req.Conf, "green", "0a:00:00:00:00:02"), CodeAttached,
			"network green", "0a:00:00:00:00:01", "0a:00:00:00:00:02")
		expectEqual(t, "MAC", n.netns.MAC(t, greenIf), "0a:00:00:00:00:01")
	})
	t.Run("an interface that is not the network's", func(t *testing.T) {
		n, req := newRunningPod(t)
		for _, ifName := range []string{"eth0", blueIf} {
			wrong := n.hotRequest(req.Conf, "green")
			wrong.IfName = ifName
			n.addFails(wrong, types.ErrInvalidEnvironmentVariables, "CNI_IFNAME", ifName, greenIf)
			n.delFails(wrong, types.ErrInvalidEnvironmentVariables, "CNI_IFNAME", ifName, greenIf)
		}
		n.expectInterfaces("eth0")
	})
	t.Run("an interface that another network has", func(t *testing.T) {
		n, req := newRunningPod(t)
		n.api.networks["tenant/"+twinA], n.api.networks["tenant/"+twinB] = n.bridgeConf(3), n.bridgeConf(4)
		n.add(n.hotRequest(req.Conf, twinA))
		mac := n.netns.MAC(t, twinIf)
		n.addFails(n.hotRequest(req.Conf, twinB), types.ErrInvalidNetworkConfig, twinA, twinB, twinIf)
		n.del(n.hotRequest(req.Conf, twinB)) // is not attached
		expectEqual(t, "MAC", n.netns.MAC(t, twinIf), mac)
	})
	t.Run("another namespace than the Pod's", func(t *testing.T) {
		n, req := newRunningPod(t)
		other := netnstest.New(t)
		green := n.hotRequest(req.Conf, "green")
		green.Netns = other.Path
		n.addFails(green, CodeAttached, "network green", n.netns.Path)
		expectEqual(t, "interfaces there", other.Devices(t), "[]")
	})
}

func TestHotAdd_NeverTearsDownTheDefaultNetwork(t *testing.T) {
	n := newTestNode(t)
	n.api.annotation = `[{"name": "green", "isPrimary": true}]`
	n.api.networks["tenant/green"] = n.bridgeConf(2)
	req := n.request(n.conf(n.ptpConf(1)))
	n.add(req)
	green := n.hotRequest(req.Conf, "green")
	n.expectResult(n.add(green), "eth0")
	n.run("nor does a hot DEL", func() {
		n.delFails(green, CodeAttached, "the Pod's default network on the interface eth0")
		n.expectInterfaces("eth0")
	})
	n.delInterface("eth0")
	n.addFails(green, CodeAttached, "has lost its interface")
	n.del(req)
	n.expectNothingLeft()
}

func TestHotAdd_RollsBackToThePodAsItWas(t *testing.T) {
	n, req := newRunningPod(t)
	n.script("failing", failing)
	n.api.networks["tenant/green"] = n.bridgeChain(2, `{"type": "failing"}`)
	before := n.read("ledger/c1.json")
	n.addFails(n.hotRequest(req.Conf, "green"), CodeDelegate, "network green", "out of order")
	n.expectInterfaces("eth0")
	n.expectLeases(1)
	expectEqual(t, "record", n.read("ledger/c1.json"), before)
}
