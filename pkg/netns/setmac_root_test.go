//go:build root

package netns

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
)

// stubborn is a kernel whose driver refuses to change the MAC address while the interface is up;
// always, if the interface being down does not help.
type stubborn struct {
	links
	with   error
	always bool
}

func (s stubborn) LinkSetHardwareAddr(link netlink.Link, mac net.HardwareAddr) error {
	now, err := s.LinkByName(link.Attrs().Name)
	if err != nil {
		return err
	}
	if s.always || now.Attrs().Flags&net.FlagUp != 0 {
		return s.with
	}
	return s.links.LinkSetHardwareAddr(link, mac)
}

// richPod is a Pod with everything on eth0 that taking the interface down removes, or adds: routes
// that need each other, of both families, in another table, one to the subnet that the delegate
// removed, on-link and multipath ones, and permanent neighbors.
func richPod(t *testing.T) (*netnstest.Netns, *netlink.Handle) {
	t.Helper()
	pod := netnstest.New(t)
	links := pod.Links(t)
	for _, name := range []string{"eth0", "net1"} {
		must(t, links.LinkAdd(&netlink.Veth{LinkAttrs: named(name), PeerName: "far-" + name}))
		for _, end := range []string{"far-" + name, name} {
			link, err := links.LinkByName(end)
			must(t, err)
			must(t, links.LinkSetUp(link))
		}
	}
	eth0, net1 := pod.Link(t, "eth0"), pod.Link(t, "net1")
	for _, a := range []string{"10.0.0.5/24", "10.8.0.5/32"} {
		must(t, links.AddrAdd(eth0, address(t, a)))
	}
	must(t, links.AddrAdd(net1, address(t, "10.1.0.5/24")))
	v6 := address(t, "fd00::5/64")
	v6.Flags = unix.IFA_F_NODAD
	must(t, links.AddrAdd(eth0, v6))

	index := eth0.Attrs().Index
	must(t, links.RouteDel(&netlink.Route{
		LinkIndex: index, Dst: address(t, "10.0.0.0/24").IPNet, Scope: unix.RT_SCOPE_LINK,
	}))
	via := func(dst, gw string) *netlink.Route {
		return &netlink.Route{LinkIndex: index, Dst: address(t, dst).IPNet, Gw: net.ParseIP(gw)}
	}
	must(t, links.RouteAdd(&netlink.Route{
		LinkIndex: index, Dst: address(t, "10.0.0.1/32").IPNet, Scope: unix.RT_SCOPE_LINK,
	}))
	must(t, links.RouteAdd(via("0.0.0.0/0", "10.0.0.1")))
	must(t, links.RouteAdd(via("::/0", "fd00::1")))
	metric := via("10.9.0.0/16", "10.0.0.1")
	metric.Priority, metric.MTU, metric.Src = 50, 1300, net.ParseIP("10.8.0.5")
	must(t, links.RouteAdd(metric))
	table := via("10.7.0.0/16", "10.0.0.1")
	table.Table = 1000
	must(t, links.RouteAdd(table))
	onLink := via("10.6.0.0/16", "192.168.9.9")
	onLink.SetFlag(netlink.FLAG_ONLINK)
	must(t, links.RouteAdd(onLink))
	must(t, links.RouteAdd(&netlink.Route{Dst: address(t, "10.5.0.0/16").IPNet, MultiPath: []*netlink.NexthopInfo{
		{LinkIndex: index, Gw: net.ParseIP("10.0.0.1")}, {LinkIndex: net1.Attrs().Index, Gw: net.ParseIP("10.1.0.1")},
	}}))
	for _, ip := range []string{"10.0.0.1", "fd00::1"} {
		must(t, links.NeighSet(&netlink.Neigh{
			LinkIndex: index, IP: net.ParseIP(ip), State: netlink.NUD_PERMANENT,
			HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1},
		}))
	}
	return pod, links
}

func address(t *testing.T, cidr string) *netlink.Addr {
	t.Helper()
	a, err := netlink.ParseAddr(cidr)
	must(t, err)
	return a
}

// linkLocal returns the IPv6 address that the kernel derives from the MAC address.
func linkLocal(mac network.MAC) net.IP {
	hw, _ := net.ParseMAC(string(mac))
	return net.IP{0xfe, 0x80, 15: hw[5], 14: hw[4], 13: hw[3], 12: 0xfe, 11: 0xff, 10: hw[2], 9: hw[1], 8: hw[0] ^ 2}
}

// describe returns all that readState knows of eth0, and whether it is up, a line each.
func describe(t *testing.T, links *netlink.Handle) string {
	t.Helper()
	link, err := links.LinkByName("eth0")
	must(t, err)
	s, err := readState(links, link)
	must(t, err)
	lines := []string{fmt.Sprintf("up: %t", link.Attrs().Flags&net.FlagUp != 0)}
	for _, a := range s.addrs {
		if a.IP.Equal(linkLocal(wantMAC)) {
			continue // the kernel adds it to the others, in its own time
		}
		lines = append(lines, fmt.Sprintf("address %s peer %s", a.IPNet, a.Peer))
	}
	for _, r := range s.routes {
		lines = append(lines, "route "+r.String()+fmt.Sprintf(" metric %d mtu %d", r.Priority, r.MTU))
	}
	for _, n := range s.neighs {
		lines = append(lines, "neighbor "+n.String())
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestNamespace_SetMAC_RefusedWhileUp(t *testing.T) {
	for _, refusal := range []error{unix.EBUSY, unix.EOPNOTSUPP, unix.EPERM, syscall.Errno(524)} {
		t.Run(refusal.Error(), func(t *testing.T) {
			pod, links := richPod(t)
			before := describe(t, links)
			n := openAt(t, pod.Path)
			n.handle = stubborn{links: n.handle, with: refusal}
			must(t, n.SetMAC("eth0", wantMAC))
			if got := pod.MAC(t, "eth0"); got != string(wantMAC) {
				t.Errorf("the address is %s", got)
			}
			if after := describe(t, links); after != before {
				t.Errorf("there was\n%s\nand is\n%s", before, after)
			}
		})
	}
	t.Run("and while down: nothing is lost, and the error tells", func(t *testing.T) {
		pod, links := richPod(t)
		before, old := describe(t, links), pod.MAC(t, "eth0")
		n := openAt(t, pod.Path)
		n.handle = stubborn{links: n.handle, with: unix.EBUSY, always: true}
		err := n.SetMAC("eth0", wantMAC)
		if err == nil || !strings.Contains(err.Error(), "set the MAC address of eth0") {
			t.Errorf("got %v", err)
		}
		if after := describe(t, links); after != before || pod.MAC(t, "eth0") != old {
			t.Errorf("there was\n%s\nand is\n%s", before, after)
		}
	})
	t.Run("an address that nobody can have does not take the interface down", func(t *testing.T) {
		pod, links := richPod(t)
		before := describe(t, links)
		n := openAt(t, pod.Path)
		n.handle = noDown{links: n.handle, t: t}
		if err := n.SetMAC("eth0", "01:00:5e:00:00:01"); err == nil {
			t.Error("a group address was set")
		}
		if after := describe(t, links); after != before {
			t.Errorf("there was\n%s\nand is\n%s", before, after)
		}
	})
	t.Run("an interface that is down stays down", func(t *testing.T) {
		pod := netnstest.New(t)
		must(t, pod.Links(t).LinkAdd(&netlink.Bridge{LinkAttrs: named("eth0")}))
		n := openAt(t, pod.Path)
		n.handle = stubborn{links: n.handle, with: unix.EBUSY}
		must(t, n.SetMAC("eth0", wantMAC))
		if got := describe(t, pod.Links(t)); got != "up: false" || pod.MAC(t, "eth0") != string(wantMAC) {
			t.Errorf("got %s", got)
		}
	})
}

type noDown struct {
	links
	t *testing.T
}

func (n noDown) LinkSetDown(netlink.Link) error {
	n.t.Error("the interface was taken down")
	return nil
}
