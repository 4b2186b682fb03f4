//go:build root

package nullipam

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/plugins"
)

// pluginDir holds the real plugins, and null.
var pluginDir string

func TestMain(m *testing.M) {
	netnstest.Node()
	plugins.Main(m, &pluginDir)
}

// ifName is the interface that tests are about.
const ifName = "net1"

// A pod is a Pod's network namespace.
type pod struct {
	*netnstest.Netns
	links *netlink.Handle
}

func newPod(t *testing.T) pod {
	t.Helper()
	n := netnstest.New(t)
	return pod{n, n.Links(t)}
}

// newMacvlan makes the interface on a master of the node, as the plugin macvlan does, and leaves it
// down.
func (p pod) newMacvlan(t *testing.T, master string) netlink.Link {
	t.Helper()
	parent, err := netlink.LinkByName(master)
	must(t, err)
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex = "tmp", parent.Attrs().Index
	link := &netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}
	must(t, netlink.LinkAdd(link))
	return p.adopt(t, "tmp")
}

// adopt moves an interface of the node to the Pod.
func (p pod) adopt(t *testing.T, name string) netlink.Link {
	t.Helper()
	link, err := netlink.LinkByName(name)
	must(t, err)
	file, err := os.Open(p.Path)
	must(t, err)
	defer file.Close()
	must(t, netlink.LinkSetNsFd(link, int(file.Fd())))
	moved := p.Link(t, name)
	must(t, p.links.LinkSetName(moved, ifName))
	return p.Link(t, ifName)
}

// newMaster makes an interface of the node without a carrier, and returns its name and that of its
// other end. Its carrier comes when that is up.
func newMaster(t *testing.T) (name, far string) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "master"
	link := &netlink.Veth{LinkAttrs: attrs, PeerName: "master-far"}
	must(t, netlink.LinkAdd(link))
	t.Cleanup(func() { must(t, netlink.LinkDel(link)) })
	must(t, netlink.LinkSetUp(link))
	return attrs.Name, link.PeerName
}

// setUp sets an interface of the node up.
func setUp(t *testing.T, name string) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	must(t, err)
	must(t, netlink.LinkSetUp(link))
}

// set sets one of the interface's IPv6 settings.
func (p pod) set(t *testing.T, key, value string) {
	t.Helper()
	at := attachment{netns: p.Path}
	must(t, at.inNetns(func() error { return writeSysctl(ifName, key, value) }))
}

// get returns one of the interface's IPv6 settings.
func (p pod) get(t *testing.T, key string) (value string) {
	t.Helper()
	at := attachment{netns: p.Path}
	must(t, at.inNetns(func() (err error) {
		value, err = readSysctl(ifName, key)
		return err
	}))
	return value
}

// linkLocal returns the interface's link-local addresses.
func (p pod) linkLocal(t *testing.T) (all []string) {
	t.Helper()
	link := p.Link(t, ifName)
	addrs, err := p.links.AddrList(link, netlink.FAMILY_V6)
	for errors.Is(err, netlink.ErrDumpInterrupted) {
		addrs, err = p.links.AddrList(link, netlink.FAMILY_V6)
	}
	must(t, err)
	for _, addr := range addrs {
		if isLinkLocal(addr.IP) {
			all = append(all, addr.IPNet.String())
		}
	}
	return all
}

// put adds an address to the interface, as the main plugin does.
func (p pod) put(t *testing.T, cidr string) {
	t.Helper()
	addr, err := netlink.ParseAddr(cidr)
	must(t, err)
	if err := p.links.AddrAdd(p.Link(t, ifName), addr); err != nil {
		t.Errorf("the main plugin cannot add %s: %v", cidr, err)
	}
}

// isUp reports whether the interface is up.
func (p pod) isUp(t *testing.T) bool {
	t.Helper()
	return p.Link(t, ifName).Attrs().Flags&net.FlagUp != 0
}

// uplink is an interface of the node with a carrier.
func uplink(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat(filepath.Join("/proc/sys/net/ipv6/conf", node.Uplink)); err != nil {
		t.Skip("the kernel has no IPv6")
	}
	return node.Uplink
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
