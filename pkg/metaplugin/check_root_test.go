//go:build root

package metaplugin

import (
	"context"
	"os"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
)

// newCheckedPod returns a node whose Pod has its default network and green, and the request of a
// CHECK.
func newCheckedPod(t *testing.T) (*testNode, Request) {
	t.Helper()
	n := newTestNode(t)
	n.api.annotation = `[{"name": "green", "ifMac": "0a:00:00:00:00:01"}]`
	n.api.networks["tenant/green"] = n.bridgeConf(2)
	req := n.request(n.conf(n.ptpConf(1)))
	req.Conf.PrevResult = n.add(req)
	return n, req
}

func (n *testNode) check(req Request) {
	n.Helper()
	if err := n.plugin.Check(context.Background(), req); err != nil {
		n.Fatalf("CHECK: %v", err)
	}
}

func (n *testNode) checkFails(req Request, code uint, words ...string) *types.Error {
	n.Helper()
	return expectError(n.T, n.plugin.Check(context.Background(), req), code, words...)
}

func TestCheck_PassesIfThePodIsWhole(t *testing.T) {
	n, req := newCheckedPod(t)
	n.plugin.API = nil // is not asked
	n.check(req)
	n.check(n.hotRequest(req.Conf, "green"))
}

// Node agents name a namespace by a process, runtimes by a file.
func TestCheck_NamesTheNamespaceAsTheAddDid(t *testing.T) {
	n, req := newCheckedPod(t)
	n.api.networks["tenant/blue"] = n.bridgeConf(3)
	blue := n.hotRequest(req.Conf, "blue")
	blue.Netns = n.path("link")
	must(t, os.Symlink(n.netns.Path, blue.Netns))
	n.add(blue)
	ofBlue := n.hotRequest(req.Conf, "blue")
	n.check(ofBlue)
	must(t, os.Remove(blue.Netns))
	n.checkFails(ofBlue, CodeDelegate, "network blue")
}

func TestCheck_ReportsWhatChanged(t *testing.T) {
	tests := []struct {
		name   string
		change func(n *testNode)
		code   uint
		words  []string
	}{
		{"a missing interface", func(n *testNode) { n.delInterface(greenIf) },
			CodeCheck, []string{"network green", greenIf, "no such interface"}},
		{"two missing interfaces", func(n *testNode) { n.delInterface(greenIf); n.delInterface("eth0") },
			CodeCheck, []string{"network green", greenIf, "network default", "eth0"}},
		{"another MAC address", func(n *testNode) {
			must(n, n.netns.Links(n).LinkSetHardwareAddr(n.netns.Link(n, greenIf), []byte{0x0a, 0, 0, 0, 0, 2}))
		}, CodeCheck, []string{"network green", "0a:00:00:00:00:02", "0a:00:00:00:00:01"}},
		{"a missing address, which the delegate reports", func(n *testNode) {
			link := n.netns.Link(n, "eth0")
			addrs, err := n.netns.Links(n).AddrList(link, netlink.FAMILY_V4)
			must(n, err)
			must(n, n.netns.Links(n).AddrDel(link, &addrs[0]))
		}, CodeDelegate, []string{"network default", "CHECK of the delegate default for eth0: plugin ptp"}},
		{"a missing lease, which the delegate reports", func(n *testNode) {
			must(n, os.RemoveAll(n.path("leases/green")))
		}, CodeDelegate, []string{"network green"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, req := newCheckedPod(t)
			tt.change(n)
			n.checkFails(req, tt.code, tt.words...)
		})
	}
}

func TestCheck_OfAHotNetworkIgnoresTheOthers(t *testing.T) {
	n, req := newCheckedPod(t)
	n.delInterface("eth0")
	n.check(n.hotRequest(req.Conf, "green"))
	n.checkFails(n.hotRequest(req.Conf, "blue"), CodeCheck, "network blue")
}

func TestCheck_ReportsWhatIsHalfMadeOrHalfTornDown(t *testing.T) {
	n, req := newStuckPod(t)
	n.script("stuck", `exit 1`)
	n.delFails(req, CodeDelegate)
	n.checkFails(req, CodeCheck, "the ledger has no default network on the interface eth0")
	n.run("by the ADD of the Pod", func() {
		locked := n.lock("c2") // its ADD was killed
		eth0 := locked.Record()
		green, _ := n.record().Find(greenIf)
		green.IfName, green.State, green.Failures = "eth0", ledger.Planned, 0
		must(n, locked.WritePlanned(context.Background(), n.record().Netns, pod, "eth0", []ledger.Attachment{green}))
		locked.Close()
		killed := req
		killed.ContainerID = eth0.ContainerID
		n.checkFails(killed, CodeCheck, "network green: the interface eth0 is half made")
	})
}

func TestCheck_OfAnotherNamespaceOrContainerFails(t *testing.T) {
	n, req := newCheckedPod(t)
	wrong := req
	wrong.Netns = netnstest.New(t).Path
	n.checkFails(wrong, types.ErrInvalidNetNS, wrong.Netns, req.Netns)
	wrong = req
	wrong.ContainerID = "unknown"
	n.checkFails(wrong, CodeCheck, "unknown", "eth0")
}

func TestCheck_Disabled(t *testing.T) {
	n, req := newCheckedPod(t)
	n.delInterface(greenIf)
	req.Conf.DisableCheck = true
	n.check(req)
}
