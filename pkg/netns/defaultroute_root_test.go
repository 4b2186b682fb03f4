//go:build root

package netns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
)

var (
	defaultIPv4 = netip.MustParsePrefix("0.0.0.0/0")
	defaultIPv6 = netip.MustParsePrefix("::/0")
)

// twoLegged is a Pod with the interfaces eth0 and net1, each with an address of both families, that
// ends in N of 10.N.0.0/24 and fd00:N::/64.
type twoLegged struct {
	*testing.T
	links *netlink.Handle
	ns    *Namespace
}

func newTwoLegged(t *testing.T) twoLegged {
	t.Helper()
	pod := netnstest.New(t)
	p := twoLegged{t, pod.Links(t), openAt(t, pod.Path)}
	for i, name := range []string{"eth0", "net1"} {
		must(t, p.links.LinkAdd(&netlink.Veth{LinkAttrs: named(name), PeerName: "far-" + name}))
		for _, end := range []string{"far-" + name, name} {
			must(t, p.links.LinkSetUp(p.link(end)))
		}
		must(t, p.links.AddrAdd(p.link(name), address(t, fmt.Sprintf("10.%d.0.5/24", i+1))))
		v6 := address(t, fmt.Sprintf("fd00:%d::5/64", i+1))
		v6.Flags = unix.IFA_F_NODAD
		must(t, p.links.AddrAdd(p.link(name), v6))
	}
	return p
}

func (p twoLegged) link(name string) netlink.Link {
	p.Helper()
	link, err := p.links.LinkByName(name)
	must(p.T, err)
	return link
}

// route adds a default route, after those that there are.
func (p twoLegged) route(ifName, gateway string, edit func(*netlink.Route)) {
	p.Helper()
	r := netlink.Route{LinkIndex: p.link(ifName).Attrs().Index, Gw: net.ParseIP(gateway)}
	if edit != nil {
		edit(&r)
	}
	must(p.T, p.links.RouteAppend(&r))
}

// show returns the default routes of the kernel, as the kernel has them, a line each.
func (p twoLegged) show(family int) string {
	p.Helper()
	all, err := p.links.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_MAIN},
		netlink.RT_FILTER_TABLE|netlink.RT_FILTER_DST)
	must(p.T, err)
	name := func(index int) string {
		link, err := p.links.LinkByIndex(index)
		must(p.T, err)
		return link.Attrs().Name
	}
	var lines []string
	for _, r := range all {
		line := fmt.Sprintf("metric %d src %s mtu %d", r.Priority, r.Src, r.MTU)
		hops := r.MultiPath
		if len(hops) == 0 {
			hops = []*netlink.NexthopInfo{{LinkIndex: r.LinkIndex, Gw: r.Gw, Via: r.Via, Flags: r.Flags}}
		}
		for _, hop := range hops {
			line += fmt.Sprintf(", by %s %v dev %s weight %d onlink %t", hop.Gw, hop.Via, name(hop.LinkIndex),
				hop.Hops+1, hop.Flags&unix.RTNH_F_ONLINK != 0)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func (p twoLegged) routes(destination netip.Prefix) []Route {
	p.Helper()
	routes, err := p.ns.DefaultRoutes(destination)
	must(p.T, err)
	return routes
}

// leaves returns the interface and the gateway by which the kernel sends what has no other route.
func (p twoLegged) leaves(to string) string {
	p.Helper()
	routes, err := p.links.RouteGet(net.ParseIP(to))
	must(p.T, err)
	link, err := p.links.LinkByIndex(routes[0].LinkIndex)
	must(p.T, err)
	return link.Attrs().Name + " " + routes[0].Gw.String()
}

func addrs(texts ...string) []netip.Addr {
	var all []netip.Addr
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

// oldRoutes are default routes that delegates may have made, by family.
var oldRoutes = map[string]struct {
	destination netip.Prefix
	add         func(p twoLegged)
}{
	"none":      {defaultIPv4, func(twoLegged) {}},
	"IPv4":      {defaultIPv4, func(p twoLegged) { p.route("eth0", "10.1.0.1", nil) }},
	"IPv6":      {defaultIPv6, func(p twoLegged) { p.route("eth0", "fd00:1::1", nil) }},
	"none IPv6": {defaultIPv6, func(twoLegged) {}},
	"several, with metrics": {defaultIPv4, func(p twoLegged) {
		p.route("eth0", "10.1.0.1", nil)
		p.route("eth0", "10.1.0.2", nil)
		p.route("eth0", "10.1.0.3", func(r *netlink.Route) {
			r.Priority, r.MTU, r.Src = 100, 1300, net.ParseIP("10.1.0.5")
		})
	}},
	"several of IPv6": {defaultIPv6, func(p twoLegged) {
		p.route("eth0", "fd00:1::1", nil)
		p.route("eth0", "fd00:1::2", nil)
		p.route("eth0", "fe80::1", func(r *netlink.Route) { r.Priority, r.MTU = 50, 1300 })
	}},
	"several hops": {defaultIPv4, func(p twoLegged) {
		p.route("eth0", "", func(r *netlink.Route) {
			r.Dst, r.LinkIndex = address(p.T, "0.0.0.0/0").IPNet, 0
			index := p.link("eth0").Attrs().Index
			r.MultiPath = []*netlink.NexthopInfo{
				{LinkIndex: index, Gw: net.ParseIP("10.1.0.1")},
				{LinkIndex: index, Gw: net.ParseIP("10.1.0.2"), Hops: 4},
			}
		})
	}},
	"weights of IPv6": {defaultIPv6, func(p twoLegged) {
		p.route("eth0", "", func(r *netlink.Route) {
			r.Dst, r.LinkIndex = address(p.T, "::/0").IPNet, 0
			index := p.link("eth0").Attrs().Index
			r.MultiPath = []*netlink.NexthopInfo{
				{LinkIndex: index, Gw: net.ParseIP("fd00:1::1"), Hops: 2},
				{LinkIndex: index, Gw: net.ParseIP("fd00:1::2")},
			}
		})
	}},
	"a gateway that no route leads to": {defaultIPv4, func(p twoLegged) {
		p.route("eth0", "169.254.1.1", func(r *netlink.Route) { r.SetFlag(netlink.FLAG_ONLINK) })
	}},
	"a gateway of the other family": {defaultIPv4, func(p twoLegged) {
		p.route("eth0", "", func(r *netlink.Route) {
			r.Dst = address(p.T, "0.0.0.0/0").IPNet
			r.Via = &netlink.Via{AddrFamily: netlink.FAMILY_V6, Addr: net.ParseIP("fe80::1")}
		})
	}},
	"no gateway": {defaultIPv4, func(p twoLegged) {
		p.route("eth0", "", func(r *netlink.Route) {
			r.Dst, r.Scope = address(p.T, "0.0.0.0/0").IPNet, netlink.SCOPE_LINK
		})
	}},
}

func TestSetDefaultRoute_MovesAllAndPutsAllBack(t *testing.T) {
	for name, old := range oldRoutes {
		t.Run(name, func(t *testing.T) {
			p := newTwoLegged(t)
			old.add(p)
			family, gateways, to := netlink.FAMILY_V4, addrs("10.2.0.1"), "192.0.2.1"
			if old.destination == defaultIPv6 {
				family, gateways, to = netlink.FAMILY_V6, addrs("fd00:2::1"), "2001:db8::1"
			}
			before, shown := p.routes(old.destination), p.show(family)
			must(t, p.ns.SetDefaultRoute("net1", gateways))
			if got, want := p.leaves(to), "net1 "+gateways[0].String(); got != want {
				t.Errorf("packets leave through %s, want %s", got, want)
			}
			now := p.routes(old.destination)
			if len(now) != 1 || !LeadVia(now, "net1", gateways) {
				t.Errorf("the routes are\n%s", p.show(family))
			}
			if shown == "" {
				return
			}
			passedOver, err := p.ns.PutBackDefaultRoutes("net1", before)
			if err != nil || len(passedOver) > 0 {
				t.Errorf("passed over %v, %v", passedOver, err)
			}
			if got := p.show(family); got != shown {
				t.Errorf("the routes were\n%s\nand are\n%s", shown, got)
			}
		})
	}
}

func TestSetDefaultRoute_OneFamilyAlone(t *testing.T) {
	p := newTwoLegged(t)
	p.route("eth0", "10.1.0.1", nil)
	p.route("eth0", "fd00:1::1", nil)
	before := p.show(netlink.FAMILY_V6)
	must(t, p.ns.SetDefaultRoute("net1", addrs("10.2.0.1")))
	if got := p.show(netlink.FAMILY_V6); got != before || p.leaves("192.0.2.1") != "net1 10.2.0.1" {
		t.Errorf("the routes of IPv6 are %s; IPv4 leaves by %s", got, p.leaves("192.0.2.1"))
	}
}

func TestSetDefaultRoute_SeveralGateways(t *testing.T) {
	for name, gateways := range map[string][]netip.Addr{
		"IPv4": addrs("10.2.0.1", "10.2.0.2"),
		"IPv6": addrs("fd00:2::1", "fe80::7"),
	} {
		t.Run(name, func(t *testing.T) {
			p := newTwoLegged(t)
			destination := DefaultDestination(gateways[0])
			// The delegate's own route, by the first of the gateways.
			p.route("net1", gateways[0].String(), nil)
			must(t, p.ns.SetDefaultRoute("net1", gateways))
			must(t, p.ns.SetDefaultRoute("net1", gateways))
			now := p.routes(destination)
			hops := 0
			for _, r := range now {
				hops += len(r.Hops)
			}
			if hops != 2 || !LeadVia(now, "net1", gateways) || LeadVia(now, "net1", gateways[:1]) {
				t.Errorf("the routes are %+v", now)
			}
		})
	}
}

func TestSetDefaultRoute_Fails(t *testing.T) {
	tests := []struct {
		name, ifName string
		gateways     []netip.Addr
		words        []string
	}{
		{"a gateway of another network", "net1", addrs("10.1.0.1"), []string{"10.1.0.1", "net1", "not on the link"}},
		{"a gateway of no network", "net1", addrs("10.9.0.1"), []string{"10.9.0.1", "net1", "not on the link"}},
		{"one of two gateways", "net1", addrs("10.2.0.1", "10.9.0.1"), []string{"10.9.0.1", "net1"}},
		{"IPv6", "net1", addrs("fd00:1::1"), []string{"fd00:1::1", "net1", "not on the link"}},
		{"one of two of IPv6", "net1", addrs("fd00:2::1", "fd00:9::1"), []string{"fd00:9::1", "net1"}},
		{"no interface", "net2", addrs("10.1.0.1"), []string{"net2", ErrNoInterface.Error()}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newTwoLegged(t)
			for _, gateway := range []string{"10.1.0.1", "fd00:1::1"} {
				p.route("eth0", gateway, nil)
			}
			// A default route of the interface itself does not make everything reachable.
			p.route("net1", "10.2.0.9", nil)
			p.route("net1", "fd00:2::9", nil)
			before := p.show(netlink.FAMILY_V4) + p.show(netlink.FAMILY_V6)
			err := p.ns.SetDefaultRoute(tt.ifName, tt.gateways)
			for _, word := range tt.words {
				if err == nil || !strings.Contains(err.Error(), word) {
					t.Errorf("no %q in the error %v", word, err)
				}
			}
			if after := p.show(netlink.FAMILY_V4) + p.show(netlink.FAMILY_V6); after != before {
				t.Errorf("the routes were\n%s\nand are\n%s", before, after)
			}
		})
	}
}

// clinging is a kernel that does not remove a route by that gateway.
type clinging struct {
	links
	gateway string
}

func (c clinging) RouteDel(r *netlink.Route) error {
	if r.Gw.String() == c.gateway {
		return unix.EPERM
	}
	return c.links.RouteDel(r)
}

func TestSetDefaultRoute_FailureToRemoveChangesNothing(t *testing.T) {
	p := newTwoLegged(t)
	for _, gateway := range []string{"10.1.0.1", "10.1.0.2"} {
		p.route("eth0", gateway, nil)
	}
	before := p.routes(defaultIPv4)
	p.ns.handle = clinging{p.ns.handle, "10.1.0.2"}
	if err := p.ns.SetDefaultRoute("net1", addrs("10.2.0.1")); !errors.Is(err, unix.EPERM) {
		t.Errorf("got %v", err)
	}
	after := p.routes(defaultIPv4)
	if len(after) != 2 || !before[0].IsIn(after) || !before[1].IsIn(after) {
		t.Errorf("the routes were\n%v\nand are\n%v", before, after)
	}
}

// A route that a router advertised comes back if it is removed.
func TestSetDefaultRoute_PrecedesWhatRoutersAdvertise(t *testing.T) {
	p := newTwoLegged(t)
	p.route("eth0", "fe80::1", func(r *netlink.Route) { r.Protocol = unix.RTPROT_RA })
	if got := p.routes(defaultIPv6); len(got) > 0 {
		t.Errorf("found %+v", got)
	}
	must(t, p.ns.SetDefaultRoute("net1", addrs("fd00:2::1")))
	now := p.show(netlink.FAMILY_V6)
	if got := p.leaves("2001:db8::1"); got != "net1 fd00:2::1" || !strings.Contains(now, "fe80::1") {
		t.Errorf("packets leave by %s; the routes are\n%s", got, now)
	}
}

func TestPutBackDefaultRoutes_PassesOverWhatIsGone(t *testing.T) {
	for name, end := range map[string]func(p twoLegged){
		"the interface": func(p twoLegged) { must(p.T, p.links.LinkDel(p.link("eth0"))) },
		"its address": func(p twoLegged) {
			must(p.T, p.links.AddrDel(p.link("eth0"), address(p.T, "10.1.0.5/24")))
		},
		"its link": func(p twoLegged) { must(p.T, p.links.LinkSetDown(p.link("eth0"))) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newTwoLegged(t)
			p.route("eth0", "10.1.0.1", nil)
			before := p.routes(defaultIPv4)
			must(t, p.ns.SetDefaultRoute("net1", addrs("10.2.0.1")))
			end(p)
			passedOver, err := p.ns.PutBackDefaultRoutes("net1", before)
			if err != nil || len(passedOver) != 1 || !passedOver[0].Equal(before[0]) {
				t.Errorf("passed over %v, %v", passedOver, err)
			}
			if got := p.show(netlink.FAMILY_V4); got != "" {
				t.Errorf("the routes are %s", got)
			}
		})
	}
}

func TestPutBackDefaultRoutes_OfAKilledAttempt(t *testing.T) {
	p := newTwoLegged(t)
	p.route("eth0", "10.1.0.1", nil)
	p.route("eth0", "10.1.0.2", func(r *netlink.Route) { r.Priority = 7 })
	before, shown := p.routes(defaultIPv4), p.show(netlink.FAMILY_V4)
	must(t, p.ns.SetDefaultRoute("net1", addrs("10.2.0.1")))
	p.route("eth0", "10.1.0.1", nil)
	for range 2 {
		_, err := p.ns.PutBackDefaultRoutes("net1", before)
		must(t, err)
	}
	if got := p.show(netlink.FAMILY_V4); got != shown {
		t.Errorf("the routes were\n%s\nand are\n%s", shown, got)
	}
}
