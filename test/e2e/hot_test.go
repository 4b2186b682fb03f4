package e2e

import (
	"encoding/json"
	"testing"

	types100 "github.com/containernetworking/cni/pkg/types/100"
)

func TestHotAdd(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	tn.bridges(t, "green", "blue", "data")
	someMAC := tn.unused(1)
	p := tn.pod(t, `[{"name":"green"}]`)
	p.add(t)

	t.Run("gives a running Pod one more network, with the right to get Networks alone", func(t *testing.T) {
		eth0, green := p.index(t, "eth0"), p.index(t, greenDevice)
		result := p.hotAdd(t, "blue")
		p.expectDevices(t, "eth0", greenDevice, blueDevice)
		p.expectLedger(t, "attached", "eth0", greenDevice, blueDevice)
		expectSame(t, "leases of blue", tn.leases(t, "blue"), []string{p.addr(t, blueDevice)})
		expectInterface(t, result, blueDevice, p.mac(t, blueDevice))
		if p.index(t, "eth0") != eth0 || p.index(t, greenDevice) != green {
			t.Error("the Pod's other devices are not the ones that they were")
		}
	})
	t.Run("twice is one device, one result and no request", func(t *testing.T) {
		before := p.index(t, blueDevice)
		first := p.hotAdd(t, "blue")
		var second any
		asked := requests(t, tn.namespace, func() { second = p.hotAdd(t, "blue") })
		expectSame(t, "requests", asked, nil)
		if a, b := asJSON(t, first), asJSON(t, second); a != b {
			t.Errorf("the results differ: %s and %s", a, b)
		}
		if p.index(t, blueDevice) != before {
			t.Error("the device is another")
		}
		tn.expectLeases(t, "blue", 1)
	})
	t.Run("of a network that the Pod's ADD made leaves it as it is", func(t *testing.T) {
		before := p.index(t, greenDevice)
		var result *types100.Result
		asked := requests(t, tn.namespace, func() { result = p.hotAdd(t, "green") })
		expectSame(t, "requests", asked, nil)
		if p.index(t, greenDevice) != before {
			t.Error("the device is another")
		}
		expectInterface(t, result, greenDevice, p.mac(t, greenDevice))
		if len(result.IPs) != 1 || result.IPs[0].Address.IP.String() != p.addr(t, greenDevice) {
			t.Errorf("the result has the addresses %v; want that of %s", result.IPs, greenDevice)
		}
	})
	t.Run("with an address gives the device that address", func(t *testing.T) {
		result := p.hotAddMAC(t, "data", someMAC)
		if got := p.mac(t, dataDevice); got != someMAC {
			t.Errorf("the address is %s; want %s", got, someMAC)
		}
		expectInterface(t, result, dataDevice, someMAC)
	})
	t.Run("is undone by the Pod's DEL", func(t *testing.T) {
		p.del(t)
		p.expectGone(t)
	})
}

func TestHotAddRefused(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	tn.bridges(t, "green")
	p := tn.podWith(t, nil)
	p.add(t)
	unchanged := func(t *testing.T) {
		t.Helper()
		p.expectDevices(t, "eth0")
		p.expectLedger(t, "attached", "eth0")
		tn.expectLeases(t, "green", 0)
	}
	t.Run("of a network that is not there", func(t *testing.T) {
		expectError(t, p.hotAddError(t, "data"), 11, "data", tn.namespace)
		unchanged(t)
	})
}

func TestHotDel(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	tn.bridges(t, "green", "blue", "data")
	p := tn.pod(t, `[{"name":"green"},{"name":"blue"}]`)
	p.add(t)
	p.hotAdd(t, "data")
	eth0, blue := p.index(t, "eth0"), p.index(t, blueDevice)
	blueAddr := p.addr(t, blueDevice)

	asked := requests(t, tn.namespace, func() {
		t.Run("undoes a hot network alone", func(t *testing.T) {
			p.hotDel(t, "data")
			p.expectDevices(t, "eth0", greenDevice, blueDevice)
			p.expectLedger(t, "attached", "eth0", greenDevice, blueDevice)
			tn.expectLeases(t, "data", 0)
		})
		t.Run("undoes a network of the Pod's ADD", func(t *testing.T) {
			p.hotDel(t, "green")
			p.expectDevices(t, "eth0", blueDevice)
			tn.expectLeases(t, "green", 0)
		})
		t.Run("twice succeeds", func(t *testing.T) {
			p.hotDel(t, "green")
			p.expectDevices(t, "eth0", blueDevice)
		})
		t.Run("of a network that the Pod never had succeeds", func(t *testing.T) {
			p.hotDel(t, "never")
			p.expectDevices(t, "eth0", blueDevice)
		})
	})
	t.Run("leaves the others' devices, addresses and leases", func(t *testing.T) {
		if p.index(t, "eth0") != eth0 || p.index(t, blueDevice) != blue || p.addr(t, blueDevice) != blueAddr {
			t.Error("a device of another network is not what it was")
		}
		expectSame(t, "leases of blue", tn.leases(t, "blue"), []string{blueAddr})
		tn.expectLeases(t, defaultNet, 1)
		p.expectLedger(t, "attached", "eth0", blueDevice)
	})
	t.Run("asks the apiserver nothing", func(t *testing.T) { expectSame(t, "requests", asked, nil) })
	t.Run("and hot ADD again give the network back", func(t *testing.T) {
		p.hotAdd(t, "green")
		p.expectDevices(t, "eth0", greenDevice, blueDevice)
	})
	t.Run("leaves the rest to the Pod's DEL", func(t *testing.T) {
		p.del(t)
		p.expectGone(t)
	})
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
