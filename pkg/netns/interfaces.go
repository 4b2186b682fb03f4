package netns

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// ErrNoInterface is returned when a network namespace has no interface of the given name.
var ErrNoInterface = errors.New("no such interface")

// Namespace is an open network namespace.
type Namespace struct {
	path   string
	handle links
}

// Open opens the network namespace at path.
func Open(path string) (*Namespace, error) {
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return nil, fmt.Errorf("open the network namespace %s: %w", path, err)
	}
	defer ns.Close()
	handle, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket in the network namespace %s: %w", path, err)
	}
	return &Namespace{path: path, handle: handle}, nil
}

// Close closes the netlink socket.
func (n *Namespace) Close() { n.handle.Close() }

// MAC returns the MAC address of the interface, or ErrNoInterface.
func (n *Namespace) MAC(ifName string) (network.MAC, error) {
	link, err := n.link(ifName)
	if err != nil {
		return "", err
	}
	return network.MAC(link.Attrs().HardwareAddr.String()), nil
}

// Addresses returns the IP addresses of the interface with their prefix lengths, or ErrNoInterface.
func (n *Namespace) Addresses(ifName string) ([]netip.Prefix, error) {
	link, err := n.link(ifName)
	if err != nil {
		return nil, err
	}
	addrs, err := n.handle.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list the addresses of %s in %s: %w", ifName, n.path, err)
	}
	var prefixes []netip.Prefix
	for _, a := range addrs {
		if addr, ok := netip.AddrFromSlice(a.IP); ok {
			bits, _ := a.Mask.Size()
			prefixes = append(prefixes, netip.PrefixFrom(addr.Unmap(), bits))
		}
	}
	return prefixes, nil
}

// Interface is an interface of a network namespace.
type Interface struct {
	Name string
	MAC  network.MAC
	// Kind is what the kernel calls the type, such as veth or bridge.
	Kind string
	// MTU is in bytes.
	MTU int
}

// Interfaces returns all interfaces.
func (n *Namespace) Interfaces() ([]Interface, error) {
	links, err := dump(n.handle.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list the interfaces in %s: %w", n.path, err)
	}
	interfaces := make([]Interface, 0, len(links))
	for _, link := range links {
		attrs := link.Attrs()
		interfaces = append(interfaces, Interface{
			Name: attrs.Name, MAC: network.MAC(attrs.HardwareAddr.String()), Kind: link.Type(), MTU: attrs.MTU,
		})
	}
	return interfaces, nil
}

func (n *Namespace) link(ifName string) (netlink.Link, error) {
	link, err := n.handle.LinkByName(ifName)
	var notFound netlink.LinkNotFoundError
	switch {
	case errors.As(err, &notFound):
		return nil, fmt.Errorf("%s in %s: %w", ifName, n.path, ErrNoInterface)
	case err != nil:
		return nil, fmt.Errorf("look up %s in %s: %w", ifName, n.path, err)
	}
	return link, nil
}
