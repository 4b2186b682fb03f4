package main

import (
	"fmt"

	"github.com/vishvananda/netlink"
)

// pod is a Pod's network namespace on a node, and what a caller of kactus knows of the Pod.
type pod struct {
	*thread
	node        *node
	name        string
	containerID string
	netns       string // the file on the node
}

// identity is what CNI_ARGS say to every verb.
func (p *pod) identity() string {
	return "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=" + p.name + ";K8S_POD_INFRA_CONTAINER_ID=" + p.containerID
}

// runtime runs a verb for the whole Pod, as a container runtime does.
func (p *pod) runtime(verb string) error {
	return p.node.kactus(verb, p, "eth0", p.identity())
}

// agent runs a verb for one network of the Pod, as a node agent does.
func (p *pod) agent(verb string, n network) error {
	return p.node.kactus(verb, p, n.device, p.identity()+";K8S_POD_NETWORK="+n.name+";K8S_POD_IFMAC=")
}

// expectVlan: the network's device is a vlan device of the network's id on the node's trunk.
func (p *pod) expectVlan(n network) error {
	link, err := p.links.LinkByName(n.device)
	if err != nil {
		return fmt.Errorf("finding %s in %s: %w", n.device, p.name, err)
	}
	parent, err := p.node.links.LinkByName(trunk)
	if err != nil {
		return err
	}
	vlan, ok := link.(*netlink.Vlan)
	switch {
	case !ok:
		return fmt.Errorf("%s in %s is a device of the kind %s; want vlan", n.device, p.name, link.Type())
	case vlan.VlanProtocol != netlink.VLAN_PROTOCOL_8021Q:
		return fmt.Errorf("%s in %s speaks %s; want 802.1Q", n.device, p.name, vlan.VlanProtocol)
	case vlan.VlanId != n.id:
		return fmt.Errorf("%s in %s has the vlan id %d; want %d", n.device, p.name, vlan.VlanId, n.id)
	case vlan.ParentIndex != parent.Attrs().Index:
		return fmt.Errorf("%s in %s is on the node's device %d; want %d, which is %s", n.device, p.name, vlan.ParentIndex, parent.Attrs().Index, trunk)
	}
	return nil
}

// expectAddresses: the network's device has these addresses, by their families' usual prefixes, and no others but those that it made itself.
func (p *pod) expectAddresses(n network, ipv4, ipv6 string) error {
	link, err := p.links.LinkByName(n.device)
	if err != nil {
		return fmt.Errorf("finding %s in %s: %w", n.device, p.name, err)
	}
	all, err := p.links.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("listing the addresses of %s in %s: %w", n.device, p.name, err)
	}
	var found []string
	for _, addr := range all {
		if !addr.IP.IsLinkLocalUnicast() {
			found = append(found, addr.IPNet.String())
		}
	}
	return expectSame("addresses of "+p.name+" on "+n.name, found, []string{ipv4 + "/24", ipv6 + "/64"})
}

// indices are the kernel's for devices: another device of the same name has another.
func (p *pod) indices(devices ...string) ([]int, error) {
	var all []int
	for _, device := range devices {
		link, err := p.links.LinkByName(device)
		if err != nil {
			return nil, fmt.Errorf("finding %s in %s: %w", device, p.name, err)
		}
		all = append(all, link.Attrs().Index)
	}
	return all, nil
}
