package main

import (
	"errors"
	"fmt"
	"slices"
)

// A network is one of the Networks that the test on the host has created.
type network struct {
	name   string
	ifName string
	id     int // VLAN ID
}

// A cluster has two nodes whose trunks are connected by a cable, and a Pod on each.
type cluster struct {
	node1, node2      *node
	app1, app2        *pod // with addresses from the annotation
	own1, own2        *pod // that set addresses themselves
	green, blue, data network
	// bare has the interfaces of each node before kactus ran there.
	bare map[*node][]string
}

// The address of a host on VLAN 44 beyond the trunk: node2 itself has it on an interface that
// kactus did not make.
const (
	neighbor     = "192.168.44.1"
	neighborCIDR = neighbor + "/24"
)

func newCluster() (*cluster, error) {
	c := &cluster{
		green: network{"green", "net9f27410725ab", 42},
		blue:  network{"blue", "net48d6215903df", 43},
		data:  network{"data", "net8d777f385d3d", 44},
	}
	if err := c.setUp(); err != nil {
		return nil, fmt.Errorf("setting up the nodes: %w", err)
	}
	return c, nil
}

func (c *cluster) setUp() (err error) {
	if c.node1, err = newNode("eth0"); err != nil {
		return err
	}
	if c.node2, err = newNode("eth1"); err != nil {
		return err
	}
	if err := join(c.node1, c.node2); err != nil {
		return err
	}
	if err := c.node2.vlanHost(c.data.id, neighborCIDR); err != nil {
		return err
	}
	if c.app1, err = c.node1.newPod("default", "app1"); err != nil {
		return err
	}
	if c.app2, err = c.node2.newPod("default", "app2"); err != nil {
		return err
	}
	if c.own1, err = c.node1.newPod(ownAddresses, "app1"); err != nil {
		return err
	}
	if c.own2, err = c.node2.newPod(ownAddresses, "app2"); err != nil {
		return err
	}
	c.bare = map[*node][]string{}
	for _, n := range []*node{c.node1, c.node2} {
		if c.bare[n], err = n.interfaces(); err != nil {
			return err
		}
	}
	return nil
}

// expectNothing returns an error if something of Pods is left on a node: an interface, in their
// namespaces or on the node, a lease, or a file in the ledger.
func (c *cluster) expectNothing(n *node, pods ...*pod) error {
	var wrong []error
	for _, p := range pods {
		interfaces, err := p.interfaces()
		wrong = append(wrong, err, expectSame("interfaces of "+p.name, interfaces, nil))
	}
	interfaces, err := n.interfaces()
	wrong = append(wrong, err, expectSame("interfaces of the node", interfaces, c.bare[n]))
	leases, err := n.leases()
	wrong = append(wrong, err, expectSame("leases", leases, nil))
	records, err := n.records()
	return errors.Join(append(wrong, err, expectSame("files in the ledger", records, nil))...)
}

// expectSame returns an error unless got and want have the same strings, in any order.
func expectSame(what string, got, want []string) error {
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if slices.Equal(got, want) {
		return nil
	}
	return fmt.Errorf("%s: %q; want %q", what, got, want)
}
