package e2e

import (
	"fmt"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

// unused is a MAC address that no other tenant has: the kernel wants those of one uplink's macvlan devices to differ.
func (tn *tenant) unused(n int) string {
	return fmt.Sprintf("0a:00:00:%02x:%02x:%02x", tn.number/256, tn.number%256, n)
}

func TestIfMac(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	someMAC := tn.unused(1)
	capability := `, "capabilities": {"mac": true}`
	delegates := []struct{ name, config string }{
		{"bridge, which honours the capability", "{" + tn.bridge(t, "mac") + capability + "}"},
		{"bridge, which honours CNI_ARGS", "{" + tn.bridge(t, "args") + "}"},
		{"macvlan, which honours the capability", `{"type": "macvlan", "master": "` + node.Uplink + `", "ipam": ` + tn.hostLocal(t) + capability + `}`},
		{"ptp, which ignores it", `{"type": "ptp", "ipam": ` + tn.hostLocal(t) + `}`},
	}
	for i, d := range delegates {
		name := fmt.Sprintf("mac-%d", i)
		tn.network(t, name, d.config)
		device := deviceName(name)
		t.Run("is the device's address by "+d.name, func(t *testing.T) {
			p := tn.pod(t, `[{"name":"`+name+`","ifMac":"`+someMAC+`"}]`)
			p.add(t)
			if got := p.mac(t, device); got != someMAC {
				t.Errorf("%s has the address %s; want %s", device, got, someMAC)
			}
			if len(p.addrs(t, device)) != 1 {
				t.Errorf("%s has the addresses %q; want one", device, p.addrs(t, device))
			}
			p.del(t)
			p.expectGone(t)
		})
		t.Run("is in the result of a hot ADD by "+d.name, func(t *testing.T) {
			p := tn.podWith(t, nil)
			p.add(t)
			result := p.hotAddMAC(t, name, someMAC)
			expectInterface(t, result, device, someMAC)
			if got := p.mac(t, device); got != someMAC {
				t.Errorf("%s has the address %s; want %s", device, got, someMAC)
			}
			p.del(t)
			p.expectGone(t)
		})
	}
}

func TestIfMacRefused(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	tn.bridges(t, "green", "blue")
	for what, mac := range map[string]string{
		"a group address":       "01:00:5e:00:00:01",
		"the zero address":      "00:00:00:00:00:00",
		"an address of 8 bytes": "02:00:00:00:00:00:00:01",
		"what is no address":    "green",
	} {
		t.Run(what+" is refused with the element's index", func(t *testing.T) {
			p := tn.pod(t, `[{"name":"green"},{"name":"blue","ifMac":"`+mac+`"}]`)
			expectError(t, p.addError(t), 7, "element 1", "ifMac")
			p.expectUntouched(t)
		})
	}
}

func TestIPs(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	tn.network(t, "green", `{"type": "macvlan", "master": "`+node.Uplink+`", "capabilities": {"ips": true}, "ipam": {"type": "static"}}`)
	tn.bridges(t, "blue")
	t.Run("are the device's by a delegate that honours them", func(t *testing.T) {
		p := tn.pod(t, `[{"name":"green","ips":["192.168.42.10/24"]}]`)
		p.add(t)
		expectSame(t, "addresses", p.addrs(t, greenDevice), []string{"192.168.42.10/24"})
		p.del(t)
		p.expectGone(t)
	})
	t.Run("may be of both families", func(t *testing.T) {
		p := tn.pod(t, `[{"name":"green","ips":["192.168.42.10/24","fd00:42::10/64"]}]`)
		p.add(t)
		expectSame(t, "addresses", p.addrs(t, greenDevice), []string{"192.168.42.10/24", "fd00:42::10/64"})
		p.del(t)
		p.expectGone(t)
	})
	t.Run("that a delegate ignores are an error, and all is rolled back", func(t *testing.T) {
		p := tn.pod(t, `[{"name":"green","ips":["192.168.42.10/24"]},{"name":"blue","ips":["192.168.42.11/24"]}]`)
		expectError(t, p.addError(t), 105, "blue", "192.168.42.11/24")
		p.expectGone(t)
	})
	t.Run("without a prefix length are refused", func(t *testing.T) {
		tn := newTenant(t)
		p := tn.pod(t, `[{"name":"green","ips":["192.168.42.10"]}]`)
		expectError(t, p.addError(t), 7, "element 0", "ips[0]")
		p.expectUntouched(t)
	})
}

func TestIsPrimary(t *testing.T) {
	t.Parallel()
	t.Run("makes eth0 in the master delegate's place", func(t *testing.T) {
		tn := newTenant(t)
		tn.bridges(t, "green", "blue")
		someMAC := tn.unused(1)
		p := tn.pod(t, `[{"name":"blue","ifMac":"`+someMAC+`"},{"name":"green","isPrimary":true}]`)
		result := p.add(t)
		p.expectDevices(t, "eth0", blueDevice)
		expectSame(t, "networks that gave addresses", fileNames(t, tn.leaseDir()), []string{"green", "blue"})
		expectSame(t, "leases of green", tn.leases(t, "green"), []string{p.addr(t, "eth0")})
		expectInterface(t, result, "eth0", p.mac(t, "eth0"))
		if got := p.mac(t, blueDevice); got != someMAC {
			t.Errorf("blue's device has the address %s; want %s, which it asks for", got, someMAC)
		}
		if got := p.mac(t, "eth0"); got == someMAC {
			t.Errorf("eth0 has the address that another network asks for")
		}
		p.del(t)
		p.expectGone(t)
	})
	t.Run("has its own ifMac on eth0", func(t *testing.T) {
		tn := newTenant(t)
		tn.bridges(t, "green", "blue")
		someMAC, otherMAC := tn.unused(1), tn.unused(2)
		p := tn.pod(t, `[{"name":"blue","ifMac":"`+someMAC+`"},{"name":"green","isPrimary":true,"ifMac":"`+otherMAC+`"}]`)
		result := p.add(t)
		expectInterface(t, result, "eth0", otherMAC)
		if eth0, blue := p.mac(t, "eth0"), p.mac(t, blueDevice); eth0 != otherMAC || blue != someMAC {
			t.Errorf("eth0 has %s, and blue %s; want %s and %s", eth0, blue, otherMAC, someMAC)
		}
		p.del(t)
		p.expectGone(t)
	})
	t.Run("of two networks is refused", func(t *testing.T) {
		tn := newTenant(t)
		p := tn.pod(t, `[{"name":"blue","isPrimary":true},{"name":"green","isPrimary":true}]`)
		expectError(t, p.addError(t), 7, "element 1", "isPrimary")
		p.expectUntouched(t)
	})
	t.Run("is never undone by a hot DEL", func(t *testing.T) {
		tn := newTenant(t)
		tn.bridges(t, "green")
		p := tn.pod(t, `[{"name":"green","isPrimary":true}]`)
		p.add(t)
		before := p.index(t, "eth0")
		expectError(t, cniError(t, p.libcniDel(t, p.agentConf(), p.agent("green", ""))), 104, "green", "eth0")
		if p.index(t, "eth0") != before {
			t.Error("eth0 is another device")
		}
		expectSame(t, "leases of green", tn.leases(t, "green"), []string{p.addr(t, "eth0")})
		p.del(t)
		p.expectGone(t)
	})
}
