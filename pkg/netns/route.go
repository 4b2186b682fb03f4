package netns

import (
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Route is a route to everything that no other route leads to, in the main table of a network
// namespace. It has what kactus needs to make it again.
type Route struct {
	// Destination is 0.0.0.0/0 or ::/0.
	Destination netip.Prefix
	// Hops are several where the kernel spreads the traffic.
	Hops []Hop
	// Metric is the kernel's priority: the lowest comes first.
	Metric int
	// Source is the preferred source address; the zero Addr if there is none.
	Source netip.Addr
	// Scope and Protocol are the kernel's numbers.
	Scope, Protocol int
	// MTU and AdvMSS are zero where the route does not set them.
	MTU, AdvMSS int
}

// Hop is where a Route leads.
type Hop struct {
	IfName string
	// Gateway is the zero Addr if everything is on the link.
	Gateway netip.Addr
	// OnLink means that no other route need lead to the gateway.
	OnLink bool
	// Weight is zero unless the hop is one of several and its weight is not 1.
	Weight int
}

// DefaultDestination returns the destination of the default route of the address's family.
func DefaultDestination(addr netip.Addr) netip.Prefix {
	if addr.Is4() {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}

// Equal reports whether both are the same route.
func (r Route) Equal(other Route) bool {
	return slices.Equal(r.Hops, other.Hops) && r.Destination == other.Destination && r.Metric == other.Metric &&
		r.Source == other.Source && r.Scope == other.Scope && r.Protocol == other.Protocol &&
		r.MTU == other.MTU && r.AdvMSS == other.AdvMSS
}

// IsIn reports whether routes has the route.
func (r Route) IsIn(routes []Route) bool { return slices.ContainsFunc(routes, r.Equal) }

// Without returns the route without the hops of that interface; it has none if there was no other.
func (r Route) Without(ifName string) Route {
	r.Hops = slices.DeleteFunc(slices.Clone(r.Hops), func(hop Hop) bool { return hop.IfName == ifName })
	return r
}

// IsVia reports whether the route leads only through that interface, and only by these gateways.
func (r Route) IsVia(ifName string, gateways []netip.Addr) bool {
	return !slices.ContainsFunc(r.Hops, func(hop Hop) bool {
		return hop.IfName != ifName || !slices.Contains(gateways, hop.Gateway)
	})
}

// LeadVia reports whether all that takes one of routes, of which the kernel prefers the first,
// leaves through that interface by these gateways: by all of them, and by no other one.
func LeadVia(routes []Route, ifName string, gateways []netip.Addr) bool {
	missing := slices.Clone(gateways)
	for i, r := range routes {
		// Of IPv4, routes of the same metric are no more than spares.
		if i > 0 && (r.Destination.Addr().Is4() || r.Metric != routes[0].Metric) {
			break
		}
		if !r.IsVia(ifName, gateways) {
			return false
		}
		missing = slices.DeleteFunc(missing, func(gateway netip.Addr) bool {
			return slices.ContainsFunc(r.Hops, func(hop Hop) bool { return hop.Gateway == gateway })
		})
	}
	return len(missing) == 0
}

// defaultRoute is a Route, and what the kernel says of it.
type defaultRoute struct {
	Route
	kernel netlink.Route
}

// fromKernel returns the route as the package has it. The kernel keeps each hop of an IPv6 route as
// a route of its own, and shows them as one.
func fromKernel(r netlink.Route, ifNames map[int]string) []defaultRoute {
	hops := r.MultiPath
	if len(hops) == 0 {
		hops = []*netlink.NexthopInfo{{LinkIndex: r.LinkIndex, Gw: r.Gw, Via: r.Via, Flags: r.Flags}}
	}
	if r.Family == netlink.FAMILY_V4 {
		return []defaultRoute{{Route: newRoute(r, hops, ifNames), kernel: r}}
	}
	var all []defaultRoute
	for _, hop := range hops {
		one := r
		one.LinkIndex, one.Gw, one.MultiPath = hop.LinkIndex, hop.Gw, nil
		all = append(all, defaultRoute{Route: newRoute(r, []*netlink.NexthopInfo{hop}, ifNames), kernel: one})
	}
	return all
}

func newRoute(r netlink.Route, hops []*netlink.NexthopInfo, ifNames map[int]string) Route {
	route := Route{
		Destination: netip.PrefixFrom(netip.IPv6Unspecified(), 0),
		Metric:      r.Priority,
		Source:      toAddr(r.Src),
		Scope:       int(r.Scope),
		Protocol:    int(r.Protocol),
		MTU:         r.MTU,
		AdvMSS:      r.AdvMSS,
	}
	if r.Family == netlink.FAMILY_V4 {
		route.Destination = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	for _, h := range hops {
		hop := Hop{IfName: ifNames[h.LinkIndex], Gateway: toAddr(h.Gw), OnLink: h.Flags&unix.RTNH_F_ONLINK != 0}
		if via, ok := h.Via.(*netlink.Via); ok {
			hop.Gateway = toAddr(via.Addr)
		}
		if h.Hops > 0 {
			hop.Weight = h.Hops + 1
		}
		route.Hops = append(route.Hops, hop)
	}
	return route
}

// toKernel returns the route for the kernel, without the hops whose interface is missing; false if
// none is left.
func (r Route) toKernel(indices map[string]int) (netlink.Route, bool) {
	var hops []*netlink.NexthopInfo
	for _, hop := range r.Hops {
		if index, ok := indices[hop.IfName]; ok {
			hops = append(hops, hop.toKernel(index, r.Destination))
		}
	}
	route := netlink.Route{
		Dst:      &net.IPNet{IP: r.Destination.Addr().AsSlice(), Mask: net.CIDRMask(0, r.Destination.Addr().BitLen())},
		Table:    unix.RT_TABLE_MAIN,
		Priority: r.Metric,
		Src:      r.Source.AsSlice(),
		Scope:    netlink.Scope(r.Scope),
		Protocol: netlink.RouteProtocol(r.Protocol),
		MTU:      r.MTU,
		AdvMSS:   r.AdvMSS,
	}
	switch {
	case len(hops) == 0:
		return route, false
	case len(hops) == 1 && hops[0].Hops == 0:
		route.LinkIndex, route.Gw, route.Via, route.Flags = hops[0].LinkIndex, hops[0].Gw, hops[0].Via, hops[0].Flags
	default:
		route.MultiPath = hops
	}
	return route, true
}

func (h Hop) toKernel(index int, destination netip.Prefix) *netlink.NexthopInfo {
	hop := &netlink.NexthopInfo{LinkIndex: index, Hops: max(h.Weight-1, 0)}
	if h.OnLink {
		hop.Flags = unix.RTNH_F_ONLINK
	}
	switch {
	case !h.Gateway.IsValid():
	case h.Gateway.Is6() && destination.Addr().Is4():
		hop.Via = &netlink.Via{AddrFamily: netlink.FAMILY_V6, Addr: h.Gateway.AsSlice()}
	default:
		hop.Gw = h.Gateway.AsSlice()
	}
	return hop
}

func toAddr(ip net.IP) netip.Addr {
	addr, _ := netip.AddrFromSlice(ip)
	return addr.Unmap()
}
