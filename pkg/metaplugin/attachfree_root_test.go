//go:build root

package metaplugin

import (
	"testing"

	"github.com/vishvananda/netlink"
)

// makeInterface makes an interface in the Pod, as another program does.
func (n *testNode) makeInterface(ifName string) {
	n.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = ifName
	must(n, n.netns.Links(n).LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
}

// The roll-back of an ADD that fails because the interface exists would remove that interface.
func TestAdd_LeavesAnInterfaceThatIsNotInTheLedger(t *testing.T) {
	for _, ifName := range []string{"eth0", greenIf, blueIf} {
		t.Run(ifName, func(t *testing.T) {
			n := newTestNode(t)
			n.recorder("master")
			n.makeInterface(ifName)
			mac := n.netns.MAC(t, ifName)
			n.selectNetworks("green")
			n.api.networks["tenant/green"] = n.bridgeConf(2)
			n.addFails(n.request(n.conf(`{"type": "master"}, `+withKey(n.ptpConf(3), `"name": "blue"`))),
				CodeAttached, ifName, "not in the ledger")
			n.expectInterfaces(ifName)
			expectEqual(t, "MAC", n.netns.MAC(t, ifName), mac)
			n.expectCalls()
			n.expectNothingLeftOutside()
		})
	}
}

func TestHotAdd_LeavesAnInterfaceThatIsNotInTheLedger(t *testing.T) {
	n, req := newRunningPod(t)
	n.makeInterface(greenIf)
	mac, before := n.netns.MAC(t, greenIf), n.read("ledger/c1.json")
	n.addFails(n.hotRequest(req.Conf, "green"), CodeAttached, "network green", greenIf, "not in the ledger")
	n.expectInterfaces("eth0", greenIf)
	expectEqual(t, "MAC", n.netns.MAC(t, greenIf), mac)
	expectEqual(t, "record", n.read("ledger/c1.json"), before)
	n.run("nor does a hot DEL touch it", func() {
		n.del(n.hotRequest(req.Conf, "green"))
		n.expectInterfaces("eth0", greenIf)
	})
	n.run("in a Pod that another plugin started", func() {
		other := n.hotRequest(req.Conf, "green")
		other.ContainerID = "other"
		n.addFails(other, CodeAttached, "not in the ledger")
		n.expectInterfaces("eth0", greenIf)
	})
}
