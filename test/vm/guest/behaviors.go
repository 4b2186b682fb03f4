package main

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// ownAddresses is the namespace of the Pods that set their addresses themselves. The test on the
// host knows it by the same name.
const ownAddresses = "own-addresses"

// The Pods' addresses, as requested in the annotations in examples/ips and of the Pod stray, and as
// set by the init containers in examples.
const (
	app1Green4, app1Green6 = "192.168.42.10", "fd10:42::1"
	app1Blue4, app1Blue6   = "192.168.43.10", "fd10:43::1"
	app2Green4, app2Green6 = "192.168.42.20", "fd10:42::2"
	app2Blue4, app2Blue6   = "192.168.43.20", "fd10:43::2"
	strayGreen4            = "192.168.42.30" // in green's subnet, but on blue
	strayBlue4             = "192.168.43.30"
)

const (
	// replyTimeout bounds a ping that should get a reply. The machine is slow and may be busy.
	replyTimeout = 20 * time.Second
	// silence bounds a ping that should get no reply. It is enough for twenty requests.
	silence = 2 * time.Second
)

func (c *cluster) behaviors() []behavior {
	return []behavior{
		{"ADD of a Pod on each of two nodes succeeds", c.add},
		{"ADD gives a Pod eth0 and the interfaces of green and blue", c.checkInterfaces},
		{"the interfaces are the VLANs 42 and 43 on their node's eth0", c.checkVLANs},
		{"the interfaces have the addresses in the annotation", c.checkAddresses},
		{"green carries IPv4 between the nodes", c.pings(c.green, app2Green4)},
		{"green carries IPv6 between the nodes", c.pings(c.green, app2Green6)},
		{"blue carries IPv4 between the nodes", c.pings(c.blue, app2Blue4)},
		{"blue carries IPv6 between the nodes", c.pings(c.blue, app2Blue6)},
		{"frames between the nodes have the tag 42 on green and 43 on blue", c.checkTags},
		{"hot ADD of data gives a running Pod the VLAN 44", c.hotAdd},
		{"data reaches a host on VLAN 44 that kactus does not manage", c.pings(c.data, neighbor)},
		{"hot DEL of data does not change the others", c.hotDel},
		{"DEL of a Pod leaves no interface, no lease and nothing in the ledger", c.del},
		{"green does not reach an address in its subnet that is on blue", c.checkIsolation},
		{"DEL of the other Pod leaves no interface, no lease and nothing in the ledger", c.delOther},
		{"ADD with the IPAM plugin null gives each interface a link-local address alone", c.addOwn},
		{"CHECK with the IPAM plugin null succeeds", c.checkOwn},
		{"green carries IPv6 between the link-local addresses", c.pingsLinkLocal(c.green)},
		{"blue carries IPv6 between the link-local addresses", c.pingsLinkLocal(c.blue)},
		{"hot DEL and hot ADD with the IPAM plugin null restore green", c.hotOwn},
		{"the init containers set the addresses", c.initOwn},
		{"green carries IPv4 between the addresses of the init containers", c.ownPings(c.green, app2Green4)},
		{"blue carries IPv6 between the addresses of the init containers", c.ownPings(c.blue, app2Blue6)},
		{"CHECK succeeds with the addresses of the init containers", c.checkOwn},
		{"DEL with the IPAM plugin null leaves nothing", c.delOwn},
		{"null answers for a VLAN that cannot be up, because its master is down", c.nullWithoutMaster},
	}
}

func (c *cluster) add() error {
	return errors.Join(c.app1.runtime("ADD"), c.app2.runtime("ADD"))
}

func (c *cluster) checkInterfaces() error {
	return errors.Join(c.expectInterfaces(c.app1), c.expectInterfaces(c.app2))
}

// expectInterfaces returns an error unless the Pod has exactly eth0 and the interfaces of green,
// blue and the hot networks.
func (c *cluster) expectInterfaces(p *pod, hot ...network) error {
	want := []string{"eth0", c.green.ifName, c.blue.ifName}
	for _, n := range hot {
		want = append(want, n.ifName)
	}
	interfaces, err := p.interfaces()
	return errors.Join(err, expectSame("interfaces of "+p.name, interfaces, want))
}

func (c *cluster) checkVLANs() error {
	return errors.Join(
		c.app1.expectVLAN(c.green), c.app1.expectVLAN(c.blue),
		c.app2.expectVLAN(c.green), c.app2.expectVLAN(c.blue),
	)
}

func (c *cluster) checkAddresses() error {
	return errors.Join(
		c.app1.expectAddresses(c.green, app1Green4, app1Green6), c.app1.expectAddresses(c.blue, app1Blue4, app1Blue6),
		c.app2.expectAddresses(c.green, app2Green4, app2Green6), c.app2.expectAddresses(c.blue, app2Blue4, app2Blue6),
	)
}

func (c *cluster) pings(over network, address string) func() error {
	return func() error { return c.app1.ping(over.ifName, address, replyTimeout) }
}

// checkTags captures app1's frames where they arrive on the other node.
func (c *cluster) checkTags() error {
	return errors.Join(c.expectTags(c.green, app2Green4), c.expectTags(c.blue, app2Blue4))
}

func (c *cluster) expectTags(over network, address string) error {
	tap, err := c.node2.tap(trunk)
	if err != nil {
		return err
	}
	defer tap.close()
	if err := c.app1.ping(over.ifName, address, replyTimeout); err != nil {
		return err
	}
	tags, err := tap.tagsTo(address)
	if err != nil {
		return err
	}
	if len(tags) == 0 || slices.ContainsFunc(tags, func(tag int) bool { return tag != over.id }) {
		return fmt.Errorf("frames to %s on %s have the tags %d; want %d on each (%d is no tag)", address,
			over.name, tags, over.id, untagged)
	}
	return nil
}

func (c *cluster) hotAdd() error {
	if err := c.app1.agent("ADD", c.data); err != nil {
		return err
	}
	return errors.Join(c.expectInterfaces(c.app1, c.data), c.app1.expectVLAN(c.data))
}

func (c *cluster) hotDel() error {
	before, err := c.app1.indices("eth0", c.green.ifName, c.blue.ifName)
	if err != nil {
		return err
	}
	if err := c.app1.agent("DEL", c.data); err != nil {
		return err
	}
	if err := c.expectInterfaces(c.app1); err != nil {
		return err
	}
	after, err := c.app1.indices("eth0", c.green.ifName, c.blue.ifName)
	if err != nil {
		return err
	}
	if !slices.Equal(before, after) {
		return fmt.Errorf("the indices of the other interfaces changed from %d to %d: these are new interfaces", before,
			after)
	}
	return errors.Join(c.pings(c.green, app2Green4)(), c.pings(c.blue, app2Blue6)())
}

func (c *cluster) del() error {
	if err := c.app2.runtime("DEL"); err != nil {
		return err
	}
	return c.expectNothing(c.node2, c.app2)
}

// checkIsolation adds a Pod on blue, and so on VLAN 43, that also has an address in green's subnet.
// Without tags, or with equal tags, it would reply over green.
func (c *cluster) checkIsolation() error {
	stray, err := c.node2.newPod("default", "stray")
	if err != nil {
		return err
	}
	if err := stray.runtime("ADD"); err != nil {
		return err
	}
	if err := c.app1.ping(c.blue.ifName, strayBlue4, replyTimeout); err != nil {
		return err
	}
	if err := c.app1.ping(c.green.ifName, strayGreen4, silence); !errors.Is(err, errNoReply) {
		return fmt.Errorf("pinging %s on VLAN 43 over green on VLAN 42: error %v; want %v",
			strayGreen4, err, errNoReply)
	}
	if err := stray.runtime("DEL"); err != nil {
		return err
	}
	return c.expectNothing(c.node2, stray)
}

func (c *cluster) delOther() error {
	if err := c.app1.runtime("DEL"); err != nil {
		return err
	}
	return c.expectNothing(c.node1, c.app1)
}
