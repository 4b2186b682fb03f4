package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// addOwn adds the Pods that set their addresses themselves.
func (c *cluster) addOwn() error {
	for _, p := range []*pod{c.own1, c.own2} {
		if err := p.runtime("ADD"); err != nil {
			return err
		}
		for _, n := range []network{c.green, c.blue} {
			_, err := p.linkLocal(n)
			if err := errors.Join(err, p.expectVLAN(n)); err != nil {
				return err
			}
		}
	}
	return errors.Join(c.expectInterfaces(c.own1), c.expectInterfaces(c.own2))
}

func (c *cluster) checkOwn() error {
	return errors.Join(c.own1.runtime("CHECK"), c.own2.runtime("CHECK"))
}

func (c *cluster) pingsLinkLocal(over network) func() error {
	return func() error {
		address, err := c.own2.linkLocal(over)
		if err != nil {
			return err
		}
		return c.own1.ping(over.ifName, address, replyTimeout)
	}
}

func (c *cluster) hotOwn() error {
	before, err := c.own1.linkLocal(c.green)
	if err != nil {
		return err
	}
	for _, operation := range []string{"DEL", "ADD"} {
		if err := c.own1.agent(operation, c.green); err != nil {
			return err
		}
	}
	after, err := c.own1.linkLocal(c.green)
	if err != nil {
		return err
	}
	if after != before { // a VLAN has its master's MAC address
		return fmt.Errorf("the link-local address was %s and is %s", before, after)
	}
	return c.pingsLinkLocal(c.green)()
}

func (c *cluster) initOwn() error {
	if err := errors.Join(c.own1.runInit(), c.own2.runInit()); err != nil {
		return err
	}
	return errors.Join(
		c.own1.expectAddresses(c.green, app1Green4, app1Green6), c.own1.expectAddresses(c.blue, app1Blue4, app1Blue6),
		c.own2.expectAddresses(c.green, app2Green4, app2Green6), c.own2.expectAddresses(c.blue, app2Blue4, app2Blue6),
	)
}

func (c *cluster) ownPings(over network, address string) func() error {
	return func() error { return c.own1.ping(over.ifName, address, replyTimeout) }
}

func (c *cluster) delOwn() error {
	if err := errors.Join(c.own1.runtime("DEL"), c.own2.runtime("DEL")); err != nil {
		return err
	}
	return errors.Join(c.expectNothing(c.node1, c.own1), c.expectNothing(c.node2, c.own2))
}

// nullWithoutMaster makes a VLAN with a MAC address in a Pod, as the plugin vlan does, and runs
// null for it.
func (c *cluster) nullWithoutMaster() error {
	const mac, address = "0a:58:c0:a8:2b:0a", "fe80::858:c0ff:fea8:2b0a/64"
	links := c.node1.links
	master, err := links.LinkByName(trunk)
	if err != nil {
		return err
	}
	if err := links.LinkSetDown(master); err != nil {
		return fmt.Errorf("setting %s down: %w", trunk, err)
	}
	attrs := netlink.LinkAttrs{Name: "vlan", ParentIndex: master.Attrs().Index, Namespace: netlink.NsPid(c.own1.id)}
	if attrs.HardwareAddr, err = net.ParseMAC(mac); err != nil {
		return err
	}
	if err := links.LinkAdd(&netlink.Vlan{LinkAttrs: attrs, VlanId: c.green.id}); err != nil {
		return fmt.Errorf("making the VLAN: %w", err)
	}
	vlan, err := c.own1.links.LinkByName("vlan")
	if err != nil {
		return err
	}
	if err := c.own1.links.LinkSetUp(vlan); !errors.Is(err, unix.ENETDOWN) {
		return fmt.Errorf("setting a VLAN up while its master is down: error %v; want %v", err, unix.ENETDOWN)
	}
	conf := []byte(`{"cniVersion": "1.0.0", "name": "green", "type": "vlan", "ipam": {"type": "null"}}`)
	output, err := c.node1.plugin("null", "ADD", c.own1, "vlan", "", conf)
	if err == nil && !bytes.Contains(output, []byte(address)) {
		err = fmt.Errorf("the result of null has no %s: %s", address, output)
	}
	return err
}
