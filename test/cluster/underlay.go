package cluster

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The underlay is the network that connects the nodes and the control plane: a bridge on the
// control plane's host, and a veth pair to each node. All clusters use the same addresses, because
// these are not visible outside a cluster's namespaces.
const (
	underlayBridge   = "underlay"
	underlayIfName   = "eth0" // on a node
	underlayPrefix   = 24
	firstNodeAddress = 10 // node1 is .11
	mostNodes        = 200
)

// controlPlaneIP returns the control plane's address on the underlay.
func controlPlaneIP() net.IP { return net.IPv4(10, 47, 0, 1) }

// nodeIP returns a node's address on the underlay. The first node has the number 1.
func nodeIP(number int) net.IP { return net.IPv4(10, 47, 0, byte(firstNodeAddress+number)) }

// nodeMAC returns a node's MAC address. Like a machine's, it does not change with a reboot: the
// neighbors have it in their caches.
func nodeMAC(number int) net.HardwareAddr {
	return append(net.HardwareAddr{0x02, 0x00}, nodeIP(number).To4()...)
}

// podNetwork returns the network that contains the Pod subnets of all nodes.
func podNetwork() *net.IPNet {
	return &net.IPNet{IP: net.IPv4(10, 48, 0, 0).To4(), Mask: net.CIDRMask(16, 32)}
}

// podSubnet returns the subnet of a node's Pods, for the default CNI configuration and for flannel.
func podSubnet(number int) *net.IPNet {
	return &net.IPNet{IP: net.IPv4(10, 48, byte(number), 0).To4(), Mask: net.CIDRMask(24, 32)}
}

// serviceIP returns the address of the Service kubernetes, the first one of the apiserver's
// --service-cluster-ip-range. The control plane's host has this address, so that the Service works
// without kube-proxy.
func serviceIP() net.IP { return net.IPv4(10, 96, 0, 1) }

// makeUnderlay makes the control plane's side of the underlay.
func makeUnderlay(host *host) error {
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
		return fmt.Errorf("making the bridge %s: %w", underlayBridge, err)
	}
	if err := setUp(handle, underlayBridge, onLink(controlPlaneIP()), singleAddress(serviceIP())); err != nil {
		return err
	}
	return nil
}

// joinUnderlay gives a node its interface on the underlay, and the control plane's host a route to
// the node's Pods.
func joinUnderlay(control, node *host, number int) error {
	handle, err := control.netlink()
	if err != nil {
		return err
	}
	defer handle.Close()
	bridge, err := handle.LinkByName(underlayBridge)
	if err != nil {
		return fmt.Errorf("finding the bridge %s: %w", underlayBridge, err)
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
		PeerName:  underlayIfName, PeerHardwareAddr: nodeMAC(number), PeerNamespace: netlink.NsFd(namespace),
	}
	if err := handle.LinkAdd(pair); err != nil {
		return fmt.Errorf("making a veth pair to %s: %w", name, err)
	}
	if err := setUp(handle, name); err != nil {
		return err
	}
	return handle.RouteReplace(&netlink.Route{Dst: podSubnet(number), Gw: nodeIP(number)})
}

// dropLink removes the interface that a node may have left which has just ended: the kernel cleans
// up in the background.
func dropLink(handle *netlink.Handle, name string) error {
	link, err := handle.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := handle.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("removing the interface %s: %w", name, err)
	}
	return nil
}

// setUpNode configures the node's interface on the underlay: its address, and the routes to the
// control plane and to the other nodes' Pods.
func setUpNode(node *host, number, nodes int) error {
	handle, err := node.netlink()
	if err != nil {
		return err
	}
	defer handle.Close()
	if err := setUp(handle, "lo"); err != nil {
		return err
	}
	if err := setUp(handle, underlayIfName, onLink(nodeIP(number))); err != nil {
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
		return fmt.Errorf("finding the interface %s: %w", name, err)
	}
	for _, address := range addresses {
		if err := handle.AddrReplace(link, &netlink.Addr{IPNet: address}); err != nil {
			return fmt.Errorf("adding the address %s to %s: %w", address, name, err)
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

func singleAddress(ip net.IP) *net.IPNet { return &net.IPNet{IP: ip, Mask: net.CIDRMask(32, 32)} }

// netlink returns a netlink handle in the host's network namespace.
func (h *host) netlink() (*netlink.Handle, error) {
	namespace, err := netns.GetFromPid(h.pid)
	if err != nil {
		return nil, fmt.Errorf("opening the network namespace of process %d: %w", h.pid, err)
	}
	defer namespace.Close()
	handle, err := netlink.NewHandleAt(namespace)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket in the network namespace of process %d: %w", h.pid, err)
	}
	return handle, nil
}
