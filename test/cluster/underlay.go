package cluster

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The underlay is the network that joins the nodes and the control plane: a bridge on the
// control plane's host, a veth pair to each node. Every cluster has the same addresses,
// because none of them is known outside of its namespaces.
const (
	underlayBridge   = "underlay"
	underlayDevice   = "eth0" // on a node
	underlayPrefix   = 24
	firstNodeAddress = 10 // node1 is .11
	mostNodes        = 200
)

// controlPlaneIP is the control plane's address on the underlay.
func controlPlaneIP() net.IP { return net.IPv4(10, 47, 0, 1) }

// nodeIP is the address of the node with this number, from 1 on.
func nodeIP(number int) net.IP { return net.IPv4(10, 47, 0, byte(firstNodeAddress+number)) }

// nodeMAC is the same after a reboot, as a machine's is: the others remember it for a
// while.
func nodeMAC(number int) net.HardwareAddr {
	return append(net.HardwareAddr{0x02, 0x00}, nodeIP(number).To4()...)
}

// podNetwork has the subnets of all nodes.
func podNetwork() *net.IPNet {
	return &net.IPNet{IP: net.IPv4(10, 48, 0, 0).To4(), Mask: net.CIDRMask(16, 32)}
}

// podSubnet is what the default CNI configuration, or flannel, gives to a node's Pods.
func podSubnet(number int) *net.IPNet {
	return &net.IPNet{IP: net.IPv4(10, 48, byte(number), 0).To4(), Mask: net.CIDRMask(24, 32)}
}

// serviceIP is the address of the Service kubernetes, the first one of the apiserver's
// --service-cluster-ip-range. The control plane's host has it, so that it works without
// kube-proxy.
func serviceIP() net.IP { return net.IPv4(10, 96, 0, 1) }

// layUnderlay makes the control plane's side of the underlay.
func layUnderlay(host *host) error {
	handle, err := host.netlink()
	if err != nil {
		return err
	}
	defer handle.Close()
	if err := setUp(handle, "lo"); err != nil {
		return err
	}
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: underlayBridge}}
	if err := handle.LinkAdd(bridge); err != nil {
		return fmt.Errorf("making the bridge: %w", err)
	}
	if err := setUp(handle, underlayBridge, onLink(controlPlaneIP()), alone(serviceIP())); err != nil {
		return err
	}
	return nil
}

// joinUnderlay gives a node its device on the underlay, and tells the control plane where
// the node's Pods are.
func joinUnderlay(control, node *host, number int) error {
	handle, err := control.netlink()
	if err != nil {
		return err
	}
	defer handle.Close()
	bridge, err := handle.LinkByName(underlayBridge)
	if err != nil {
		return fmt.Errorf("finding the underlay: %w", err)
	}
	namespace, err := netns.GetFromPid(node.pid)
	if err != nil {
		return err
	}
	defer namespace.Close()
	name := nodeName(number)
	if err := dropLink(handle, name); err != nil {
		return err
	}
	pair := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: name, MasterIndex: bridge.Attrs().Index},
		PeerName:  underlayDevice, PeerHardwareAddr: nodeMAC(number), PeerNamespace: netlink.NsFd(namespace),
	}
	if err := handle.LinkAdd(pair); err != nil {
		return fmt.Errorf("making a veth pair to %s: %w", name, err)
	}
	if err := setUp(handle, name); err != nil {
		return err
	}
	return handle.RouteReplace(&netlink.Route{Dst: podSubnet(number), Gw: nodeIP(number)})
}

// dropLink removes a device that a node which ended a moment ago may have left: the kernel
// takes its time to clean up.
func dropLink(handle *netlink.Handle, name string) error {
	link, err := handle.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := handle.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("removing the device %s: %w", name, err)
	}
	return nil
}

// setUpNode makes the node's side of the underlay, once it has the device: its address,
// and the ways to the control plane and to the Pods of the others.
func setUpNode(node *host, number, nodes int) error {
	handle, err := node.netlink()
	if err != nil {
		return err
	}
	defer handle.Close()
	if err := setUp(handle, "lo"); err != nil {
		return err
	}
	if err := setUp(handle, underlayDevice, onLink(nodeIP(number))); err != nil {
		return err
	}
	routes := []*netlink.Route{{Gw: controlPlaneIP()}}
	for other := 1; other <= nodes; other++ {
		if other != number {
			routes = append(routes, &netlink.Route{Dst: podSubnet(other), Gw: nodeIP(other)})
		}
	}
	for _, route := range routes {
		if err := handle.RouteReplace(route); err != nil {
			return fmt.Errorf("adding the route %s: %w", route, err)
		}
	}
	return nil
}

func setUp(handle *netlink.Handle, name string, addresses ...*net.IPNet) error {
	link, err := handle.LinkByName(name)
	if err != nil {
		return fmt.Errorf("finding the device %s: %w", name, err)
	}
	for _, address := range addresses {
		if err := handle.AddrReplace(link, &netlink.Addr{IPNet: address}); err != nil {
			return fmt.Errorf("giving %s the address %s: %w", name, address, err)
		}
	}
	if err := handle.LinkSetUp(link); err != nil {
		return fmt.Errorf("setting %s up: %w", name, err)
	}
	return nil
}

func onLink(ip net.IP) *net.IPNet {
	return &net.IPNet{IP: ip, Mask: net.CIDRMask(underlayPrefix, 32)}
}

func alone(ip net.IP) *net.IPNet { return &net.IPNet{IP: ip, Mask: net.CIDRMask(32, 32)} }

// netlink returns a handle on the host's network.
func (h *host) netlink() (*netlink.Handle, error) {
	namespace, err := netns.GetFromPid(h.pid)
	if err != nil {
		return nil, fmt.Errorf("opening the network of process %d: %w", h.pid, err)
	}
	defer namespace.Close()
	handle, err := netlink.NewHandleAt(namespace)
	if err != nil {
		return nil, fmt.Errorf("entering the network of process %d: %w", h.pid, err)
	}
	return handle, nil
}
