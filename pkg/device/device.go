// Package device looks at and changes the devices of a Pod's network namespace, by netlink.
package device

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// ErrAbsent is that a network namespace has no device of that name.
var ErrAbsent = errors.New("there is no such device")

// Namespace is an open network namespace. No thread enters it: its netlink socket was made there.
type Namespace struct {
	path   string
	handle *netlink.Handle
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

// Close lets the namespace go.
func (n *Namespace) Close() { n.handle.Close() }

// MAC is the MAC address of the device of that name; ErrAbsent where there is none.
func (n *Namespace) MAC(name string) (network.MAC, error) {
	link, err := n.link(name)
	if err != nil {
		return "", err
	}
	return network.MAC(link.Attrs().HardwareAddr.String()), nil
}

// Addresses are the IP addresses of the device of that name, with their prefix lengths; ErrAbsent where there is no such device.
func (n *Namespace) Addresses(name string) ([]netip.Prefix, error) {
	link, err := n.link(name)
	if err != nil {
		return nil, err
	}
	addrs, err := n.handle.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list the addresses of %s in %s: %w", name, n.path, err)
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

// SetMAC gives the device of that name the address mac, without taking it down: that would cost it its routes.
func (n *Namespace) SetMAC(name string, mac network.MAC) error {
	link, err := n.link(name)
	if err != nil {
		return err
	}
	addr, err := net.ParseMAC(string(mac))
	if err != nil {
		return err
	}
	if err := n.handle.LinkSetHardwareAddr(link, addr); err != nil {
		return fmt.Errorf("set the MAC address of %s in %s to %s: %w", name, n.path, mac, err)
	}
	return nil
}

func (n *Namespace) link(name string) (netlink.Link, error) {
	link, err := n.handle.LinkByName(name)
	var absent netlink.LinkNotFoundError
	switch {
	case errors.As(err, &absent):
		return nil, fmt.Errorf("%s in %s: %w", name, n.path, ErrAbsent)
	case err != nil:
		return nil, fmt.Errorf("look for %s in %s: %w", name, n.path, err)
	}
	return link, nil
}
