package netns

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// SetMAC sets the MAC address of the interface. If the driver refuses that while the interface is
// up, SetMAC takes it down meanwhile, and restores the addresses, routes and permanent neighbors
// that the kernel removes with that.
func (n *Namespace) SetMAC(ifName string, mac network.MAC) error {
	link, err := n.link(ifName)
	if err != nil {
		return err
	}
	addr, err := net.ParseMAC(string(mac))
	if err != nil {
		return err
	}
	err = n.handle.LinkSetHardwareAddr(link, addr)
	if err != nil && refusedWhileUp(err) && link.Attrs().Flags&net.FlagUp != 0 {
		err = setMACWhileDown(n.handle, link, addr)
	}
	if err != nil {
		return fmt.Errorf("set the MAC address of %s in %s to %s: %w", ifName, n.path, mac, err)
	}
	return nil
}

// links are the requests to the kernel that a Namespace makes: a *netlink.Handle.
type links interface {
	LinkList() ([]netlink.Link, error)
	LinkByName(name string) (netlink.Link, error)
	LinkSetHardwareAddr(link netlink.Link, mac net.HardwareAddr) error
	LinkSetDown(link netlink.Link) error
	LinkSetUp(link netlink.Link) error
	AddrList(link netlink.Link, family int) ([]netlink.Addr, error)
	AddrAdd(link netlink.Link, addr *netlink.Addr) error
	AddrDel(link netlink.Link, addr *netlink.Addr) error
	RouteListFiltered(family int, filter *netlink.Route, mask uint64) ([]netlink.Route, error)
	RouteAddEcmp(route *netlink.Route) error
	RouteAppend(route *netlink.Route) error
	RouteDel(route *netlink.Route) error
	NeighList(linkIndex, family int) ([]netlink.Neigh, error)
	NeighSet(neigh *netlink.Neigh) error
	Close()
}

// refusedWhileUp reports whether err can mean that the driver changes the address only of an
// interface that is down. Drivers do not agree on how to say that.
func refusedWhileUp(err error) bool {
	const enotsupp = syscall.Errno(524) // the kernel's own; drivers let it out by mistake
	return slices.ContainsFunc([]error{unix.EBUSY, unix.EOPNOTSUPP, unix.EPERM, enotsupp},
		func(refusal error) bool { return errors.Is(err, refusal) })
}

func setMACWhileDown(kernel links, link netlink.Link, mac net.HardwareAddr) error {
	before, err := readState(kernel, link)
	if err != nil {
		return err
	}
	if err := kernel.LinkSetDown(link); err != nil {
		return fmt.Errorf("take the interface down: %w", err)
	}
	refused := kernel.LinkSetHardwareAddr(link, mac)
	if err := kernel.LinkSetUp(link); err != nil {
		return errors.Join(refused, fmt.Errorf("take the interface up again: %w", err))
	}
	return errors.Join(refused, before.restore(kernel, link))
}

// state is what the kernel removes from an interface that is taken down.
type state struct {
	addrs  []netlink.Addr
	routes []netlink.Route
	neighs []netlink.Neigh
}

func readState(kernel links, link netlink.Link) (state, error) {
	var s state
	var err error
	if s.addrs, err = dump(func() ([]netlink.Addr, error) {
		return kernel.AddrList(link, netlink.FAMILY_ALL)
	}); err != nil {
		return s, fmt.Errorf("list the addresses: %w", err)
	}
	if s.neighs, err = dump(func() ([]netlink.Neigh, error) {
		return kernel.NeighList(link.Attrs().Index, netlink.FAMILY_ALL)
	}); err != nil {
		return s, fmt.Errorf("list the neighbors: %w", err)
	}
	s.neighs = slices.DeleteFunc(s.neighs, func(n netlink.Neigh) bool {
		return n.State&netlink.NUD_PERMANENT == 0
	})
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := dump(func() ([]netlink.Route, error) {
			anyTable := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
			return kernel.RouteListFiltered(family, anyTable, netlink.RT_FILTER_TABLE)
		})
		if err != nil {
			return s, fmt.Errorf("list the routes: %w", err)
		}
		for _, r := range routes {
			if isConfigured(r) && uses(r, link) {
				s.routes = append(s.routes, withoutState(r))
			}
		}
	}
	return s, nil
}

// dump lists again what changed while it was being listed.
func dump[T any](list func() ([]T, error)) (all []T, err error) {
	for range 10 {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return all, err
}

// isConfigured reports whether a route is not the kernel's own: it derives the local table from the
// addresses, and learns others from routers.
func isConfigured(r netlink.Route) bool {
	return r.Table != unix.RT_TABLE_LOCAL && r.Protocol != unix.RTPROT_RA && r.Protocol != unix.RTPROT_REDIRECT
}

func uses(r netlink.Route, link netlink.Link) bool {
	index := link.Attrs().Index
	return r.LinkIndex == index ||
		slices.ContainsFunc(r.MultiPath, func(hop *netlink.NexthopInfo) bool { return hop.LinkIndex == index })
}

// withoutState returns the route without what the kernel says of its present state, such as that
// there is no carrier.
func withoutState(r netlink.Route) netlink.Route {
	r.Flags &= unix.RTNH_F_ONLINK
	for _, hop := range r.MultiPath {
		hop.Flags &= unix.RTNH_F_ONLINK
	}
	return r
}

// restore makes the state of the interface what it was: the kernel may also have added to it, such
// as a link-local address, or the route to a subnet that the delegate had removed.
func (s state) restore(kernel links, link netlink.Link) error {
	now, err := readState(kernel, link)
	if err != nil {
		return err
	}
	var failed []error
	for _, a := range s.addrs {
		if !slices.ContainsFunc(now.addrs, func(b netlink.Addr) bool { return isSameAddr(a, b) }) {
			failed = append(failed, addAddr(kernel, link, a))
		}
	}
	for _, a := range now.addrs {
		if !slices.ContainsFunc(s.addrs, func(b netlink.Addr) bool { return isSameAddr(a, b) }) {
			failed = append(failed, kernel.AddrDel(link, &a))
		}
	}
	for _, n := range s.neighs {
		if err := kernel.NeighSet(&n); err != nil {
			failed = append(failed, fmt.Errorf("restore the neighbor %s: %w", n.IP, err))
		}
	}
	failed = append(failed, s.restoreRoutes(kernel, link))
	return errors.Join(failed...)
}

// addAddr adds an address that the interface had. Nobody else can have come by it in the meantime,
// so that an IPv6 address need not be unusable until duplicates were looked for.
func addAddr(kernel links, link netlink.Link, a netlink.Addr) error {
	a.Flags &^= unix.IFA_F_TENTATIVE | unix.IFA_F_PERMANENT
	if a.IP.To4() == nil {
		a.Flags |= unix.IFA_F_NODAD
	}
	if err := kernel.AddrAdd(link, &a); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("restore the address %s: %w", a.IPNet, err)
	}
	return nil
}

func isSameAddr(a, b netlink.Addr) bool {
	return a.IPNet.String() == b.IPNet.String() && a.Peer.String() == b.Peer.String()
}

// restoreRoutes adds the missing routes as long as one more can be added: a gateway needs the route
// to it first.
func (s state) restoreRoutes(kernel links, link netlink.Link) error {
	now, err := readState(kernel, link)
	if err != nil {
		return err
	}
	var failed []error
	missing := slices.DeleteFunc(slices.Clone(s.routes), now.has)
	for added := true; added; {
		left := []netlink.Route(nil)
		failed = nil
		for _, r := range missing {
			if err := kernel.RouteAppend(&r); err != nil && !errors.Is(err, unix.EEXIST) {
				failed = append(failed, fmt.Errorf("restore the route to %s: %w", r.Dst, err))
				left = append(left, r)
			}
		}
		added, missing = len(left) < len(missing), left
	}
	for _, r := range now.routes {
		if !s.has(r) {
			if err := kernel.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
				failed = append(failed, fmt.Errorf("remove the new route to %s: %w", r.Dst, err))
			}
		}
	}
	return errors.Join(failed...)
}

func (s state) has(r netlink.Route) bool { return slices.ContainsFunc(s.routes, r.Equal) }
