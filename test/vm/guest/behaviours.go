package main

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// The Pods' addresses, as the annotations in examples/ips and of the Pod stray ask for them.
const (
	app1Green4, app1Green6 = "192.168.42.10", "fd10:42::1"
	app1Blue4, app1Blue6   = "192.168.43.10", "fd10:43::1"
	app2Green4, app2Green6 = "192.168.42.20", "fd10:42::2"
	app2Blue4, app2Blue6   = "192.168.43.20", "fd10:43::2"
	strayGreen4            = "192.168.42.30" // of green's subnet, and on blue
	strayBlue4             = "192.168.43.30"
)

const (
	// patience bounds a ping that is to be answered. It is long because the machine is slow, and may be busy.
	patience = 20 * time.Second
	// silence is how long a ping that is not to be answered is tried: twenty requests, where one is enough for those that are.
	silence = 2 * time.Second
)

func (c *cluster) behaviours() []behaviour {
	return []behaviour{
		{"ADD of a Pod on each of two nodes succeeds", c.add},
		{"ADD gives a Pod eth0 and the devices of green and blue", c.seeDevices},
		{"the devices are the vlans 42 and 43 on their node's eth0", c.seeVlans},
		{"the devices have the addresses that the annotation asks for", c.seeAddresses},
		{"green carries IPv4 between the nodes", c.pings(c.green, app2Green4)},
		{"green carries IPv6 between the nodes", c.pings(c.green, app2Green6)},
		{"blue carries IPv4 between the nodes", c.pings(c.blue, app2Blue4)},
		{"blue carries IPv6 between the nodes", c.pings(c.blue, app2Blue6)},
		{"frames between the nodes bear the tag 42 on green and 43 on blue", c.seeTags},
		{"hot ADD of data gives a running Pod the vlan 44", c.hotAdd},
		{"data reaches a host on vlan 44 that kactus does not know of", c.pings(c.data, neighbour)},
		{"hot DEL of data leaves the others as they are", c.hotDel},
		{"DEL of a Pod leaves no device, no lease and nothing in the ledger", c.del},
		{"green does not reach an address of its subnet that is on blue", c.seeIsolation},
		{"DEL of the other Pod leaves no device, no lease and nothing in the ledger", c.delOther},
	}
}

func (c *cluster) add() error {
	return errors.Join(c.app1.runtime("ADD"), c.app2.runtime("ADD"))
}

func (c *cluster) seeDevices() error {
	return errors.Join(c.expectDevices(c.app1), c.expectDevices(c.app2))
}

// expectDevices: the Pod has eth0, the devices of green and blue, and those of hot networks.
func (c *cluster) expectDevices(p *pod, hot ...network) error {
	want := []string{"eth0", c.green.device, c.blue.device}
	for _, n := range hot {
		want = append(want, n.device)
	}
	devices, err := p.devices()
	return errors.Join(err, expectSame("devices of "+p.name, devices, want))
}

func (c *cluster) seeVlans() error {
	return errors.Join(
		c.app1.expectVlan(c.green), c.app1.expectVlan(c.blue),
		c.app2.expectVlan(c.green), c.app2.expectVlan(c.blue),
	)
}

func (c *cluster) seeAddresses() error {
	return errors.Join(
		c.app1.expectAddresses(c.green, app1Green4, app1Green6), c.app1.expectAddresses(c.blue, app1Blue4, app1Blue6),
		c.app2.expectAddresses(c.green, app2Green4, app2Green6), c.app2.expectAddresses(c.blue, app2Blue4, app2Blue6),
	)
}

func (c *cluster) pings(over network, address string) func() error {
	return func() error { return c.app1.ping(over.device, address, patience) }
}

// seeTags looks at the cable's far end, where app1's frames come in.
func (c *cluster) seeTags() error {
	return errors.Join(c.expectTags(c.green, app2Green4), c.expectTags(c.blue, app2Blue4))
}

func (c *cluster) expectTags(over network, address string) error {
	tap, err := c.node2.tap(trunk)
	if err != nil {
		return err
	}
	defer tap.close()
	if err := c.app1.ping(over.device, address, patience); err != nil {
		return err
	}
	tags, err := tap.tagsTo(address)
	if err != nil {
		return err
	}
	if len(tags) == 0 || slices.ContainsFunc(tags, func(tag int) bool { return tag != over.id }) {
		return fmt.Errorf("frames to %s on %s bear the tags %d; want %d on each (%d is none)", address, over.name, tags, over.id, untagged)
	}
	return nil
}

func (c *cluster) hotAdd() error {
	if err := c.app1.agent("ADD", c.data); err != nil {
		return err
	}
	return errors.Join(c.expectDevices(c.app1, c.data), c.app1.expectVlan(c.data))
}

func (c *cluster) hotDel() error {
	before, err := c.app1.indices("eth0", c.green.device, c.blue.device)
	if err != nil {
		return err
	}
	if err := c.app1.agent("DEL", c.data); err != nil {
		return err
	}
	if err := c.expectDevices(c.app1); err != nil {
		return err
	}
	after, err := c.app1.indices("eth0", c.green.device, c.blue.device)
	if err != nil {
		return err
	}
	if !slices.Equal(before, after) {
		return fmt.Errorf("the kernel's indices of the other devices were %d, and are %d: these are other devices", before, after)
	}
	return errors.Join(c.pings(c.green, app2Green4)(), c.pings(c.blue, app2Blue6)())
}

func (c *cluster) del() error {
	if err := c.app2.runtime("DEL"); err != nil {
		return err
	}
	return c.expectNothing(c.node2, c.app2)
}

// seeIsolation has a Pod on blue, and so on vlan 43, with an address of green's subnet as well. Without tags, or with the same, its answer would come over green.
func (c *cluster) seeIsolation() error {
	stray, err := c.node2.newPod("stray")
	if err != nil {
		return err
	}
	if err := stray.runtime("ADD"); err != nil {
		return err
	}
	if err := c.app1.ping(c.blue.device, strayBlue4, patience); err != nil {
		return err
	}
	if err := c.app1.ping(c.green.device, strayGreen4, silence); !errors.Is(err, errNoReply) {
		return fmt.Errorf("%s, which is on vlan 43, is reached over green, on vlan 42: error %v; want %v", strayGreen4, err, errNoReply)
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
