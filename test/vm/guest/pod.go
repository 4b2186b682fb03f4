package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/vishvananda/netlink"
)

// A pod is a Pod's network namespace on a node, and what the runtime passes to kactus.
type pod struct {
	*thread
	node        *node
	namespace   string
	name        string
	containerID string
	netns       string // the file on the node
	result      []byte // of its ADD
}

// identity returns the CNI_ARGS of every operation.
func (p *pod) identity() string {
	return "IgnoreUnknown=1;K8S_POD_NAMESPACE=" + p.namespace + ";K8S_POD_NAME=" + p.name +
		";K8S_POD_INFRA_CONTAINER_ID=" + p.containerID
}

// runtime runs an operation for the whole Pod, as a container runtime does.
func (p *pod) runtime(operation string) error {
	output, err := p.node.kactus(operation, p, "eth0", p.identity())
	if operation == "ADD" {
		p.result = output
	}
	return err
}

// agent runs an operation for one network of the Pod, as a node agent does.
func (p *pod) agent(operation string, n network) error {
	_, err := p.node.kactus(operation, p, n.ifName, p.identity()+";K8S_POD_NETWORK="+n.name+";K8S_POD_IFMAC=")
	return err
}

// runInit runs the command of the Pod's init container, in the Pod's network namespace.
func (p *pod) runInit() error {
	content, err := os.ReadFile(filepath.Join("/init-commands", p.name))
	if err != nil {
		return err
	}
	var command []string
	if err := json.Unmarshal(content, &command); err != nil {
		return fmt.Errorf("reading the init container's command: %w", err)
	}
	cmd := exec.Command(filepath.Join("/bin", command[0]), command[1:]...)
	cmd.Env = []string{"PATH=/bin"}
	var output []byte
	err = p.do(func() (err error) {
		output, err = cmd.CombinedOutput()
		return err
	})
	if err != nil {
		return fmt.Errorf("running the init container's command of %s: %w: %s", p.name, err, output)
	}
	return nil
}

// expectVLAN returns an error unless the network's interface is a VLAN with the network's ID on the
// node's trunk.
func (p *pod) expectVLAN(n network) error {
	link, err := p.links.LinkByName(n.ifName)
	if err != nil {
		return fmt.Errorf("finding %s in %s: %w", n.ifName, p.name, err)
	}
	parent, err := p.node.links.LinkByName(trunk)
	if err != nil {
		return err
	}
	vlan, ok := link.(*netlink.Vlan)
	switch {
	case !ok:
		return fmt.Errorf("the interface %s in %s has the type %s; want vlan", n.ifName, p.name, link.Type())
	case vlan.VlanProtocol != netlink.VLAN_PROTOCOL_8021Q:
		return fmt.Errorf("the interface %s in %s uses %s; want 802.1Q", n.ifName, p.name, vlan.VlanProtocol)
	case vlan.VlanId != n.id:
		return fmt.Errorf("the interface %s in %s has the VLAN ID %d; want %d", n.ifName, p.name, vlan.VlanId, n.id)
	case vlan.ParentIndex != parent.Attrs().Index:
		return fmt.Errorf("the interface %s in %s is on the node's interface %d; want %d (%s)", n.ifName, p.name,
			vlan.ParentIndex, parent.Attrs().Index, trunk)
	}
	return nil
}

// expectAddresses returns an error unless the network's interface has exactly these addresses, with
// the usual prefix lengths, and its link-local addresses.
func (p *pod) expectAddresses(n network, ipv4, ipv6 string) error {
	link, err := p.links.LinkByName(n.ifName)
	if err != nil {
		return fmt.Errorf("finding %s in %s: %w", n.ifName, p.name, err)
	}
	all, err := p.links.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("listing the addresses of %s in %s: %w", n.ifName, p.name, err)
	}
	var found []string
	for _, addr := range all {
		if !addr.IP.IsLinkLocalUnicast() {
			found = append(found, addr.IPNet.String())
		}
	}
	return expectSame("addresses of "+p.name+" on "+n.name, found, []string{ipv4 + "/24", ipv6 + "/64"})
}

// linkLocal returns the network's interface's address. An error is returned unless that is an IPv6
// link-local address, and the only one.
func (p *pod) linkLocal(n network) (string, error) {
	link, err := p.links.LinkByName(n.ifName)
	if err != nil {
		return "", fmt.Errorf("finding %s in %s: %w", n.ifName, p.name, err)
	}
	all, err := p.links.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return "", fmt.Errorf("listing the addresses of %s in %s: %w", n.ifName, p.name, err)
	}
	if len(all) != 1 || all[0].IP.To4() != nil || !all[0].IP.IsLinkLocalUnicast() {
		return "", fmt.Errorf("addresses of %s on %s: %v; want one IPv6 link-local address", p.name, n.name, all)
	}
	return all[0].IP.String(), nil
}

// indices returns the kernel's indices of interfaces. A new interface with the same name would have
// another index.
func (p *pod) indices(interfaces ...string) ([]int, error) {
	var all []int
	for _, ifName := range interfaces {
		link, err := p.links.LinkByName(ifName)
		if err != nil {
			return nil, fmt.Errorf("finding %s in %s: %w", ifName, p.name, err)
		}
		all = append(all, link.Attrs().Index)
	}
	return all, nil
}
