package meta

import (
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
)

// checked is a Pod with its default network and green, and the request for its CHECK.
func checked(t *testing.T) (*node, Request) {
	t.Helper()
	n := newNode(t)
	n.api.annotation = `[{"name": "green", "ifMac": "0a:00:00:00:00:01"}]`
	n.api.networks["tenant/green"] = n.bridged(2)
	req := n.request(n.conf(n.ptp(1)))
	result, err := json.Marshal(n.add(req))
	must(t, err)
	req.Conf.PrevResult = result
	return n, req
}

func (n *node) checkFails(req Request, code uint, words ...string) *types.Error {
	n.Helper()
	err := n.verbs.Check(context.Background(), req)
	if err == nil {
		n.Fatal("CHECK succeeded")
	}
	return n.check(err, code, words)
}

func TestACheckOfAPodThatIsWholePasses(t *testing.T) {
	n, req := checked(t)
	n.verbs.API = nil // it asks the apiserver nothing
	must(t, n.verbs.Check(context.Background(), req))
	hot := n.green(req.Conf)
	must(t, n.verbs.Check(context.Background(), hot))
}

// Node agents name a namespace by a process, runtimes by a file.
func TestACheckPassesWhereTheAddNamedTheNamespaceByAnotherPath(t *testing.T) {
	n, req := checked(t)
	n.api.networks["tenant/blue"] = n.bridged(3)
	hot := n.hot(req.Conf, blueDevice, podargs.Hot{Network: "blue"})
	hot.Netns = n.path("link")
	must(t, os.Symlink(n.netns.Path, hot.Netns))
	n.add(hot)
	must(t, n.verbs.Check(context.Background(), req))
	must(t, os.Remove(hot.Netns))
	n.checkFails(req, CodeDelegate, "network blue")
}

func TestACheckFindsWhatIsNotAsTheAddLeftIt(t *testing.T) {
	for what, c := range map[string]struct {
		spoil func(n *node)
		code  uint
		says  []string
	}{
		"a device that is gone": {func(n *node) { must(n.T, n.netns.Links(n).LinkDel(n.netns.Link(n, greenDevice))) },
			CodeCheck, []string{"network green", greenDevice, "no such device"}},
		"another MAC address": {func(n *node) {
			must(n.T, n.netns.Links(n).LinkSetHardwareAddr(n.netns.Link(n, greenDevice), []byte{0x0a, 0, 0, 0, 0, 2}))
		}, CodeCheck, []string{"network green", "0a:00:00:00:00:02", "0a:00:00:00:00:01"}},
		"an address that the delegate misses": {func(n *node) {
			link := n.netns.Link(n, "eth0")
			addrs, err := n.netns.Links(n).AddrList(link, netlink.FAMILY_V4)
			must(n.T, err)
			must(n.T, n.netns.Links(n).AddrDel(link, &addrs[0]))
		}, CodeDelegate, []string{"network default", "CHECK of the delegate default for eth0: plugin ptp"}},
		"a lease that is gone": {func(n *node) { must(n.T, os.RemoveAll(n.path("leases/green"))) },
			CodeDelegate, []string{"network green"}},
	} {
		t.Run(what, func(t *testing.T) {
			n, req := checked(t)
			c.spoil(n)
			n.checkFails(req, c.code, c.says...)
		})
	}
}

func TestACheckTellsOfAllThatIsWrong(t *testing.T) {
	n, req := checked(t)
	must(t, n.netns.Links(t).LinkDel(n.netns.Link(t, greenDevice)))
	must(t, n.netns.Links(t).LinkDel(n.netns.Link(t, "eth0")))
	n.checkFails(req, CodeCheck, "network green", greenDevice, "network default", "eth0")
}

func TestACheckOfOneHotNetworkLooksAtNoOther(t *testing.T) {
	n, req := checked(t)
	must(t, n.netns.Links(t).LinkDel(n.netns.Link(t, "eth0")))
	must(t, n.verbs.Check(context.Background(), n.green(req.Conf)))
	n.checkFails(n.hot(req.Conf, blueDevice, podargs.Hot{Network: "blue"}), CodeCheck, "network blue")
}

func TestACheckOfWhatIsHalfMadeOrHalfUndoneFails(t *testing.T) {
	n, req := stuckPod(t)
	req.Conf.PrevResult = json.RawMessage(`{"cniVersion": "1.0.0"}`)
	n.delFails(n.green(req.Conf), CodeDelegate)
	book, err := n.lock(context.Background(), container) // and a hot ADD of blue was killed
	must(t, err)
	blue, _ := book.Record().Find(greenDevice)
	blue.Network, blue.Device, blue.State, blue.Failures = "blue", "eth1", ledger.Planned, 0
	must(t, book.Plan(context.Background(), book.Record().Netns, pod, "", []ledger.Entry{blue}))
	book.Close()
	n.checkFails(req, CodeCheck, "network green", "half undone", "network blue: eth1 is half made")
}

func TestACheckIsOfTheNamespaceThatTheAddWasFor(t *testing.T) {
	n, req := checked(t)
	other := netnstest.New(t)
	path := req.Netns
	req.Netns = other.Path
	n.checkFails(req, types.ErrInvalidNetNS, other.Path, path)
	req.Netns, req.ContainerID = path, "unknown"
	n.checkFails(req, CodeCheck, "unknown", "eth0")
}

func TestACheckThatIsDisabledPasses(t *testing.T) {
	n, req := checked(t)
	must(t, n.netns.Links(t).LinkDel(n.netns.Link(t, greenDevice)))
	req.Conf.DisableCheck = true
	must(t, n.verbs.Check(context.Background(), req))
}
