//go:build root

package metaplugin

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// lentMAC is the MAC address of the node's interface lent, by which host-device finds it.
const lentMAC = "02:04:06:08:10:12"

// newLendingNode returns a node with the network green, which lends the interface lent to the Pod.
func newLendingNode(t *testing.T) *testNode {
	t.Helper()
	n := newTestNode(t)
	mac, err := net.ParseMAC(lentMAC)
	must(t, err)
	far := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "lent-far"}, PeerName: "lent", PeerHardwareAddr: mac}
	must(t, netlink.LinkAdd(far))
	t.Cleanup(func() { must(t, netlink.LinkDel(far)) })
	n.api.networks["tenant/green"] = fmt.Sprintf(`{"type": "host-device", "hwaddr": %q}`, lentMAC)
	return n
}

// selectMAC makes the Pod ask for green with that MAC address, and then for other networks.
func (n *testNode) selectMAC(mac string, others ...string) {
	n.api.annotation = fmt.Sprintf(`[{"name": "green", "ifMac": %q}`, mac)
	for _, name := range others {
		n.api.annotation += fmt.Sprintf(`, {"name": %q}`, name)
	}
	n.api.annotation += "]"
}

// expectBack fails unless the interface is on the node, as it was.
func (n *testNode) expectBack() {
	n.Helper()
	link, err := netlink.LinkByName("lent")
	must(n, err)
	expectEqual(n.T, "MAC of the interface that was lent", link.Attrs().HardwareAddr, lentMAC)
	n.expectInterfaces()
}

// stoppedNetns is a network namespace in which SetMAC and SetDefaultRoute call stop first, and does
// nothing if that returns false.
type stoppedNetns struct {
	Netns
	stop func() bool
}

func (s stoppedNetns) SetMAC(ifName string, mac network.MAC) error {
	if !s.stop() {
		return nil
	}
	return s.Netns.SetMAC(ifName, mac)
}

func (s stoppedNetns) SetDefaultRoute(ifName string, gateways []netip.Addr) error {
	if !s.stop() {
		return nil
	}
	return s.Netns.SetDefaultRoute(ifName, gateways)
}

// killed runs an ADD, and leaves all as if kactus had been killed when it had recorded what it was
// about to change of an interface, before or after it set another. It returns the attachment green
// as it is recorded then.
func (n *testNode) killed(req Request, afterSet bool) ledger.Attachment {
	n.Helper()
	var record []byte
	open := n.plugin.OpenNetns
	n.plugin.OpenNetns = func(path string) (Netns, error) {
		ns, err := open(path)
		return stoppedNetns{ns, func() bool {
			record, err = os.ReadFile(n.path("ledger/c1.json"))
			must(n, err)
			return afterSet
		}}, err
	}
	n.add(req)
	n.plugin.OpenNetns = open
	must(n, os.WriteFile(n.path("ledger/c1.json"), record, 0o600))
	a, _ := n.record().Find(greenIf)
	return a
}

// killedAtMAC does so for a MAC address.
func (n *testNode) killedAtMAC(req Request, afterSet bool) {
	n.Helper()
	a := n.killed(req, afterSet)
	expectEqual(n.T, "state and previous MAC", a.State+" "+ledger.State(a.PreviousMAC), "planned "+lentMAC)
	expectEqual(n.T, "kactus set the MAC", n.netns.MAC(n, greenIf) == wantMAC, afterSet)
}

func TestMAC_LentInterfaceGetsItsOwnBack(t *testing.T) {
	t.Run("in a DEL, so that the next Pod finds it", func(t *testing.T) {
		n := newLendingNode(t)
		req := n.request(n.conf(n.ptpConf(1)))
		for _, mac := range []string{wantMAC, "0a:00:00:00:00:02"} {
			n.selectMAC(mac)
			n.add(req)
			expectEqual(t, "MAC", n.netns.MAC(t, greenIf), mac)
			n.check(req)
			n.del(req)
			n.expectBack()
			n.expectNothingLeft()
		}
	})
	t.Run("in a hot DEL, so that a hot ADD with another one finds it", func(t *testing.T) {
		n := newLendingNode(t)
		req := n.request(n.conf(n.ptpConf(1)))
		n.add(req)
		for _, mac := range []network.MAC{wantMAC, "0a:00:00:00:00:02"} {
			hot := n.hotRequestMAC(req.Conf, "green", mac)
			n.add(hot)
			n.add(hot)
			n.addFails(n.hotRequestMAC(req.Conf, "green", "0a:00:00:00:00:03"), CodeAttached)
			expectEqual(t, "MAC", n.netns.MAC(t, greenIf), mac)
			n.del(n.hotRequest(req.Conf, "green"))
			n.expectInterfaces("eth0")
		}
		n.del(req)
		n.expectBack()
	})
	t.Run("in the roll-back of an ADD whose next network fails", func(t *testing.T) {
		n := newLendingNode(t)
		n.script("failing", failing)
		n.api.networks["tenant/blue"] = `{"type": "failing"}`
		n.selectMAC(wantMAC, "blue")
		n.addFails(n.request(n.conf(n.ptpConf(1))), CodeDelegate, "network blue")
		n.expectBack()
		n.expectNothingLeft()
	})
	t.Run("when the container is reclaimed", func(t *testing.T) {
		n := newLendingNode(t)
		n.selectMAC(wantMAC)
		n.add(n.request(n.conf(n.ptpConf(1))))
		must(t, n.plugin.Reclaim(context.Background(), func(ledger.Record) bool { return true }))
		n.expectBack()
		n.expectNothingLeft()
	})
	t.Run("unless somebody else has changed it since", func(t *testing.T) {
		n := newLendingNode(t)
		n.selectMAC(wantMAC)
		req := n.request(n.conf(n.ptpConf(1)))
		n.add(req)
		theirs := net.HardwareAddr{2, 0, 0, 0, 0, 7}
		must(t, n.netns.Links(t).LinkSetHardwareAddr(n.netns.Link(t, greenIf), theirs))
		n.del(req)
		link, err := netlink.LinkByName("lent")
		must(t, err)
		expectEqual(t, "MAC", link.Attrs().HardwareAddr, theirs)
	})
}

func TestMAC_LentInterfaceAfterAKill(t *testing.T) {
	for name, afterSet := range map[string]bool{"before kactus set another": false, "after kactus set another": true} {
		t.Run(name, func(t *testing.T) {
			n := newLendingNode(t)
			req := n.request(n.conf(n.ptpConf(1)))
			n.run("a DEL puts it back", func() {
				n.selectMAC(wantMAC)
				n.killedAtMAC(req, afterSet)
				n.del(req)
				n.expectBack()
				n.expectNothingLeft()
			})
			n.run("a repeated hot ADD finds it", func() {
				n.api.annotation = ""
				n.add(req)
				green := n.hotRequestMAC(req.Conf, "green", wantMAC)
				n.killedAtMAC(green, afterSet)
				n.add(green)
				a, _ := n.record().Find(greenIf)
				expectEqual(n.T, "previous MAC", a.PreviousMAC, lentMAC)
				n.del(req)
				n.expectBack()
			})
		})
	}
}

func TestMAC_IsNotSetWithoutARecord(t *testing.T) {
	n := newLendingNode(t)
	n.store.fail("MarkMACChange")
	n.plugin.OpenNetns = neverSet(n)
	n.selectMAC(wantMAC)
	n.addFails(n.request(n.conf(n.ptpConf(1))), types.ErrIOFailure, "network green", errDisk.Error())
	n.expectBack()
	n.expectNothingLeft()
}

// neverSet returns an OpenNetns whose network namespaces must not be changed.
func neverSet(n *testNode) func(path string) (Netns, error) {
	open := n.plugin.OpenNetns
	return func(path string) (Netns, error) {
		ns, err := open(path)
		return stoppedNetns{ns, func() bool { n.Error("the MAC address was set"); return false }}, err
	}
}

// An interface without its own MAC address must not go back to the node as long as there is hope.
func TestMAC_CannotBePutBack(t *testing.T) {
	n := newLendingNode(t)
	n.selectMAC(wantMAC)
	req := n.request(n.conf(n.ptpConf(1)))
	n.add(req)
	open := n.plugin.OpenNetns
	n.plugin.OpenNetns = func(path string) (Netns, error) {
		ns, err := open(path)
		return refusingNetns{ns}, err
	}
	n.run("the delegate's DEL waits", func() {
		n.delFails(req, types.ErrIOFailure, "network green", lentMAC, errRefused.Error())
		n.expectInterfaces(greenIf)
		a, _ := n.record().Find(greenIf)
		expectEqual(n.T, "failures", a.Failures, 1)
	})
	n.run("when kactus gives up, it runs", func() {
		must(n, n.plugin.Reclaim(context.Background(), func(ledger.Record) bool { return true }))
		n.expectNothingLeft()
	})
}

var errRefused = fmt.Errorf("refused: %w", os.ErrPermission)

type refusingNetns struct{ Netns }

func (refusingNetns) SetMAC(string, network.MAC) error { return errRefused }
