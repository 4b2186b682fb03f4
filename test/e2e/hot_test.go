package e2e

import (
	"encoding/json"
	"testing"

	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

func TestHotAdd(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "blue", "data")
	someMAC := tn.UniqueMAC(1)
	p := tn.NewPod(t, `[{"name":"green"}]`)
	p.Add(t)

	t.Run("attaches a network with the agent's rights", func(t *testing.T) {
		eth0, green := p.Index(t, "eth0"), p.Index(t, kactustest.GreenIfName)
		result := p.HotAdd(t, "blue")
		p.ExpectInterfaces(t, "eth0", kactustest.GreenIfName, kactustest.BlueIfName)
		p.ExpectLedger(t, "attached", "eth0", kactustest.GreenIfName, kactustest.BlueIfName)
		kactustest.ExpectSame(t, "leases of blue", tn.Leases(t, "blue"), []string{p.Addr(t, kactustest.BlueIfName)})
		kactustest.ExpectResult(t, result, kactustest.BlueIfName, p.MAC(t, kactustest.BlueIfName))
		if p.Index(t, "eth0") != eth0 || p.Index(t, kactustest.GreenIfName) != green {
			t.Error("another interface of the Pod was replaced")
		}
	})
	t.Run("twice is one interface, one result and no request", func(t *testing.T) {
		before := p.Index(t, kactustest.BlueIfName)
		first := p.HotAdd(t, "blue")
		var second any
		requests := kactustest.Requests(t, tn.Namespace, func() { second = p.HotAdd(t, "blue") })
		kactustest.ExpectSame(t, "requests", requests, nil)
		if a, b := toJSON(t, first), toJSON(t, second); a != b {
			t.Errorf("the results differ: %s and %s", a, b)
		}
		if p.Index(t, kactustest.BlueIfName) != before {
			t.Error("the interface was replaced")
		}
		tn.ExpectLeases(t, "blue", 1)
	})
	t.Run("of a network that is attached changes nothing", func(t *testing.T) {
		before := p.Index(t, kactustest.GreenIfName)
		var result *types100.Result
		requests := kactustest.Requests(t, tn.Namespace, func() { result = p.HotAdd(t, "green") })
		kactustest.ExpectSame(t, "requests", requests, nil)
		if p.Index(t, kactustest.GreenIfName) != before {
			t.Error("the interface was replaced")
		}
		kactustest.ExpectResult(t, result, kactustest.GreenIfName, p.MAC(t, kactustest.GreenIfName))
		if len(result.IPs) != 1 || result.IPs[0].Address.IP.String() != p.Addr(t, kactustest.GreenIfName) {
			t.Errorf("the result has the addresses %v; want that of %s", result.IPs, kactustest.GreenIfName)
		}
	})
	t.Run("with a MAC address", func(t *testing.T) {
		result := p.HotAddMAC(t, "data", someMAC)
		if got := p.MAC(t, kactustest.DataIfName); got != someMAC {
			t.Errorf("MAC address %s; want %s", got, someMAC)
		}
		kactustest.ExpectResult(t, result, kactustest.DataIfName, someMAC)
	})
	t.Run("is torn down by the Pod's DEL", func(t *testing.T) {
		p.Del(t)
		p.ExpectGone(t)
	})
}

func TestHotAdd_MissingNetwork(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	p := tn.NewAnnotatedPod(t, nil)
	p.Add(t)
	unchanged := func(t *testing.T) {
		t.Helper()
		p.ExpectInterfaces(t, "eth0")
		p.ExpectLedger(t, "attached", "eth0")
		tn.ExpectLeases(t, "green", 0)
	}
	t.Run("of a missing network is error 11", func(t *testing.T) {
		kactustest.ExpectError(t, p.HotAddError(t, "data"), 11, "data", tn.Namespace)
		unchanged(t)
	})
}

func TestHotAdd_Selection(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.Conf.Capabilities = map[string]bool{netconf.SelectionCapability: true}
	infra := tn.NewNamespace(t, "infra")
	const config = `{"type": "macvlan", "master": "` + node.Uplink +
		`", "capabilities": {"ips": true}, "ipam": {"type": "static"}}`
	kactustest.Create(t, kactustest.NetworksPath(infra),
		kactustest.NetworkObject("green", kactustest.NetworkSpec{Config: config}))
	tn.CreateBridgeNetworks(t, "green")
	p := tn.NewAnnotatedPod(t, nil)
	p.Add(t)
	call := func(address string) kactustest.Call {
		c := p.Agent("green", "")
		selection := map[string]any{"name": "green", "namespace": infra, "ips": []string{address}}
		c.Capabilities = map[string]any{netconf.SelectionCapability: selection}
		return c
	}
	kactustest.MustResult(t)(p.AddWith(t, p.AgentConf(), call("192.168.42.10/24")))
	kactustest.ExpectSame(t, "addresses", p.Addrs(t, kactustest.GreenIfName), []string{"192.168.42.10/24"})
	tn.ExpectLeases(t, "green", 0) // of the Network in the Pod's own namespace
	_, err := p.AddWith(t, p.AgentConf(), call("192.168.42.11/24"))
	kactustest.ExpectError(t, kactustest.CNIError(t, err), 104, "192.168.42.10/24", "192.168.42.11/24")
	kactustest.Must(t, p.DelWith(t, p.AgentConf(), call("192.168.42.10/24")))
	p.ExpectInterfaces(t, "eth0")
	p.Del(t)
	p.ExpectGone(t)
}

func TestHotDel(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "blue", "data")
	p := tn.NewPod(t, `[{"name":"green"},{"name":"blue"}]`)
	p.Add(t)
	p.HotAdd(t, "data")
	eth0, blue := p.Index(t, "eth0"), p.Index(t, kactustest.BlueIfName)
	blueAddr := p.Addr(t, kactustest.BlueIfName)

	requests := kactustest.Requests(t, tn.Namespace, func() {
		t.Run("tears down a hot network alone", func(t *testing.T) {
			p.HotDel(t, "data")
			p.ExpectInterfaces(t, "eth0", kactustest.GreenIfName, kactustest.BlueIfName)
			p.ExpectLedger(t, "attached", "eth0", kactustest.GreenIfName, kactustest.BlueIfName)
			tn.ExpectLeases(t, "data", 0)
		})
		t.Run("tears down a network of the Pod's ADD", func(t *testing.T) {
			p.HotDel(t, "green")
			p.ExpectInterfaces(t, "eth0", kactustest.BlueIfName)
			tn.ExpectLeases(t, "green", 0)
		})
		t.Run("twice succeeds", func(t *testing.T) {
			p.HotDel(t, "green")
			p.ExpectInterfaces(t, "eth0", kactustest.BlueIfName)
		})
		t.Run("of a network that was never attached succeeds", func(t *testing.T) {
			p.HotDel(t, "never")
			p.ExpectInterfaces(t, "eth0", kactustest.BlueIfName)
		})
	})
	t.Run("leaves the others' interfaces, addresses and leases", func(t *testing.T) {
		if p.Index(t, "eth0") != eth0 || p.Index(t, kactustest.BlueIfName) != blue ||
			p.Addr(t, kactustest.BlueIfName) != blueAddr {
			t.Error("an interface of another network was changed")
		}
		kactustest.ExpectSame(t, "leases of blue", tn.Leases(t, "blue"), []string{blueAddr})
		tn.ExpectLeases(t, kactustest.DefaultNetwork, 1)
		p.ExpectLedger(t, "attached", "eth0", kactustest.BlueIfName)
	})
	t.Run("asks the apiserver nothing", func(t *testing.T) { kactustest.ExpectSame(t, "requests", requests, nil) })
	t.Run("and a hot ADD attach the network again", func(t *testing.T) {
		p.HotAdd(t, "green")
		p.ExpectInterfaces(t, "eth0", kactustest.GreenIfName, kactustest.BlueIfName)
	})
	t.Run("leaves the rest to the Pod's DEL", func(t *testing.T) {
		p.Del(t)
		p.ExpectGone(t)
	})
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
