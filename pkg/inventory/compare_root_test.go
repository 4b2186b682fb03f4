//go:build root

package inventory

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
)

// node is a ledger whose container has what its attachments say.
type node struct {
	testLedger
	netns *netnstest.Netns
}

func newNode(t *testing.T) node {
	t.Helper()
	ns := netnstest.New(t)
	for i, ifName := range []string{"eth0", "net1"} {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = ifName
		must(t, ns.Links(t).LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
		// The prefix lengths are not those of newResult.
		for _, address := range []string{fmt.Sprintf("10.0.%d.2/32", i), fmt.Sprintf("fd00::%d/128", i+1)} {
			addr, err := netlink.ParseAddr(address)
			must(t, err)
			must(t, ns.Links(t).AddrAdd(ns.Link(t, ifName), addr))
		}
	}
	id, err := netns.Identify(ns.Path)
	must(t, err)
	mac0, mac1 := ns.MAC(t, "eth0"), strings.ToUpper(ns.MAC(t, "net1")) // either case is the same
	return node{testLedger: newTestLedger(t, id, mac0, mac1), netns: ns}
}

func TestCompare_Interfaces(t *testing.T) {
	for name, c := range map[string]struct {
		change     func(n node)
		eth0, net1 string
	}{
		"as recorded": {func(node) {}, "", ""},
		"an interface is gone": {func(n node) {
			must(n, n.netns.Links(n).LinkDel(n.netns.Link(n, "net1")))
		}, "", netns.ErrNoInterface.Error()},
		"another MAC address": {func(n node) {
			must(n, n.netns.Links(n).LinkSetHardwareAddr(n.netns.Link(n, "net1"), []byte{0x0a, 0, 0, 0, 0, 2}))
		}, "", "the MAC address is 0a:00:00:00:00:02, not "},
		"an address is gone": {func(n node) {
			addr, err := netlink.ParseAddr("10.0.0.2/32")
			must(n, err)
			must(n, n.netns.Links(n).AddrDel(n.netns.Link(n, "eth0"), addr))
		}, "the address 10.0.0.2/24 is missing", ""},
		"the network namespace is gone": {func(n node) { n.netns.Remove() }, "namespace is gone", "namespace is gone"},
		"another network namespace at the path": {func(n node) {
			n.netns.Remove()
			n.netns.Mount(n)
		}, "namespace", "namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			c.change(n)
			n.expectProblems(c.eth0, c.net1)
		})
	}
}

func TestCompare_WhatNeverHadAnInterface(t *testing.T) {
	n := newNode(t)
	n.change(func(r *ledger.LockedRecord) error { return r.MarkNoInterface("net1") })
	must(t, n.netns.Links(t).LinkDel(n.netns.Link(t, "net1")))
	n.expectProblems("", "")
}

func TestCompare_SeveralProblems(t *testing.T) {
	n := newNode(t)
	must(t, n.netns.Links(t).LinkSetHardwareAddr(n.netns.Link(t, "net1"), []byte{0x0a, 0, 0, 0, 0, 2}))
	addr, err := netlink.ParseAddr("10.0.1.2/32")
	must(t, err)
	must(t, n.netns.Links(t).AddrDel(n.netns.Link(t, "net1"), addr))
	n.expectProblems("", "; the address 10.0.1.2/24 is missing")
	n.expectProblems("", "the MAC address is 0a:00:00:00:00:02, not ")
}
