package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// requestedMetric is the metric of an IPv6 route that SetDefaultRoute makes. It is the lowest that
// there is, so that the routes that plugins and routers bring, with 1024, are never preferred to
// it, nor joined with it. For IPv4, zero is the lowest, and what the others have too.
const requestedMetric = 1

// DefaultRoutes returns the routes to the destination, 0.0.0.0/0 or ::/0, as the kernel prefers
// them. It leaves out those that the kernel has learned from IPv6 routers, which come back if they
// are removed, and those that reject.
func (n *Namespace) DefaultRoutes(destination netip.Prefix) ([]Route, error) {
	found, err := n.defaultRoutes(destination)
	return withoutKernel(found), err
}

func withoutKernel(found []defaultRoute) []Route {
	var routes []Route
	for _, r := range found {
		routes = append(routes, r.Route)
	}
	return routes
}

func (n *Namespace) defaultRoutes(destination netip.Prefix) ([]defaultRoute, error) {
	family := netlink.FAMILY_V6
	if destination.Addr().Is4() {
		family = netlink.FAMILY_V4
	}
	indices, err := n.indices()
	if err != nil {
		return nil, err
	}
	ifNames := map[int]string{}
	for name, index := range indices {
		ifNames[index] = name
	}
	all, err := dump(func() ([]netlink.Route, error) {
		toDefault := &netlink.Route{Table: unix.RT_TABLE_MAIN, Type: unix.RTN_UNICAST}
		return n.handle.RouteListFiltered(family, toDefault,
			netlink.RT_FILTER_TABLE|netlink.RT_FILTER_TYPE|netlink.RT_FILTER_DST|netlink.RT_FILTER_TOS)
	})
	if err != nil {
		return nil, fmt.Errorf("list the routes in %s: %w", n.path, err)
	}
	var found []defaultRoute
	for _, r := range all {
		if isConfigured(r) {
			found = append(found, fromKernel(r, ifNames)...)
		}
	}
	return found, nil
}

// SetDefaultRoute makes the interface's route by these gateways, which are of one family, the only
// default route of that family. The Pod has one all the time. After an error, nothing has changed:
// a gateway may not be on the link.
func (n *Namespace) SetDefaultRoute(ifName string, gateways []netip.Addr) error {
	if err := n.setDefaultRoute(ifName, gateways); err != nil {
		return fmt.Errorf("set the default route of %s by %s on %s: %w", n.path, join(gateways), ifName, err)
	}
	return nil
}

func (n *Namespace) setDefaultRoute(ifName string, gateways []netip.Addr) error {
	if _, err := n.link(ifName); err != nil {
		return err
	}
	destination := DefaultDestination(gateways[0])
	before, err := n.DefaultRoutes(destination)
	if err != nil {
		return err
	}
	wanted := requestedRoutes(ifName, gateways)
	// The kernel, asked to remove a route by the first of several gateways, may take the new one.
	for range 2 {
		if err = n.replaceDefaultRoutes(destination, wanted); err != nil {
			break
		}
		now, listErr := n.DefaultRoutes(destination)
		if listErr == nil && LeadVia(now, ifName, gateways) && len(now) == len(wanted) {
			return nil
		}
		err = errors.Join(listErr, errors.New("something else changes the default routes at the same time"))
	}
	if _, failed := n.putBack(destination, ifName, before); failed != nil {
		err = errors.Join(err, fmt.Errorf("put the default routes back: %w", failed))
	}
	return err
}

// requestedRoutes returns the default routes of an interface by these gateways.
func requestedRoutes(ifName string, gateways []netip.Addr) []Route {
	route := Route{Destination: DefaultDestination(gateways[0]), Protocol: unix.RTPROT_STATIC}
	if route.Destination.Addr().Is4() {
		for _, gateway := range gateways {
			route.Hops = append(route.Hops, Hop{IfName: ifName, Gateway: gateway})
		}
		return []Route{route}
	}
	var all []Route
	for _, gateway := range gateways {
		route.Metric, route.Hops = requestedMetric, []Hop{{IfName: ifName, Gateway: gateway}}
		all = append(all, route)
	}
	return all
}

// replaceDefaultRoutes adds what is missing of wanted, which the kernel then prefers, and removes
// all other routes.
func (n *Namespace) replaceDefaultRoutes(destination netip.Prefix, wanted []Route) error {
	now, err := n.defaultRoutes(destination)
	if err != nil {
		return err
	}
	indices, err := n.indices()
	if err != nil {
		return err
	}
	for _, r := range missing(wanted, now) {
		if route, ok := r.toKernel(indices); ok {
			if err := n.handle.RouteAddEcmp(&route); err != nil && !errors.Is(err, unix.EEXIST) {
				return explain(err)
			}
		}
	}
	return n.removeRoutes(now, func(r Route) bool { return !r.IsIn(wanted) })
}

// PutBackDefaultRoutes makes the routes, which were there before SetDefaultRoute and are of one
// family, again, and then removes those of the interface. It passes over what cannot be there
// anymore, because an interface is gone or down, or a gateway not on the link, and returns it.
func (n *Namespace) PutBackDefaultRoutes(ifName string, routes []Route) (passedOver []Route, err error) {
	if len(routes) == 0 {
		return nil, nil
	}
	if passedOver, err = n.putBack(routes[0].Destination, ifName, routes); err != nil {
		return nil, fmt.Errorf("put the default routes of %s back: %w", n.path, err)
	}
	return passedOver, nil
}

func (n *Namespace) putBack(destination netip.Prefix, ifName string, routes []Route) (passedOver []Route, err error) {
	now, err := n.defaultRoutes(destination)
	if err != nil {
		return nil, err
	}
	indices, err := n.indices()
	if err != nil {
		return nil, err
	}
	for _, r := range missing(routes, now) {
		route, ok := r.toKernel(indices)
		if ok {
			err = n.handle.RouteAppend(&route)
		}
		switch {
		case !ok || isImpossible(err):
			passedOver = append(passedOver, r)
		case err != nil && !errors.Is(err, unix.EEXIST):
			return nil, err
		}
	}
	return passedOver, n.removeRoutes(now, func(r Route) bool {
		return len(r.Without(ifName).Hops) == 0 && !r.IsIn(routes)
	})
}

// missing returns what is in wanted and not in now.
func missing(wanted []Route, now []defaultRoute) []Route {
	has := withoutKernel(now)
	return slices.DeleteFunc(slices.Clone(wanted), func(r Route) bool { return r.IsIn(has) })
}

func (n *Namespace) removeRoutes(routes []defaultRoute, which func(Route) bool) error {
	for _, r := range routes {
		if which(r.Route) {
			if err := n.handle.RouteDel(&r.kernel); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("remove the route by %s: %w", r.kernel.Gw, err)
			}
		}
	}
	return nil
}

// isImpossible reports whether err means that a route cannot exist as the interfaces are.
func isImpossible(err error) bool {
	return slices.ContainsFunc(
		[]error{unix.ENETUNREACH, unix.EHOSTUNREACH, unix.ENETDOWN, unix.ENODEV, unix.EINVAL},
		func(reason error) bool { return errors.Is(err, reason) })
}

// explain returns err with what it means that a route by a gateway is impossible.
func explain(err error) error {
	if isImpossible(err) {
		return fmt.Errorf("not on the link of the interface: %w", err)
	}
	return err
}

// indices returns the kernel's numbers of the interfaces.
func (n *Namespace) indices() (map[string]int, error) {
	links, err := dump(n.handle.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list the interfaces in %s: %w", n.path, err)
	}
	indices := map[string]int{}
	for _, link := range links {
		indices[link.Attrs().Name] = link.Attrs().Index
	}
	return indices, nil
}

func join(gateways []netip.Addr) string {
	var all []string
	for _, gateway := range gateways {
		all = append(all, gateway.String())
	}
	return strings.Join(all, ", ")
}
