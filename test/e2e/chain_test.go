package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

func TestAdd_Chain(t *testing.T) {
	t.Parallel()
	t.Run("each plugin of a Network's chain does its part", func(t *testing.T) {
		tn := kactustest.NewTenant(t)
		tn.CreateNetwork(t, "green", `{"plugins": [{`+tn.BridgeConfig(t, "green")+`},
			{"type": "tuning", "mtu": 1400, "allmulti": true}, {"type": "portmap"}]}`)
		p := tn.NewPod(t, `[{"name":"green"}]`)
		p.Add(t)
		p.ExpectInterfaces(t, "eth0", kactustest.GreenIfName)
		if link := p.Link(t, kactustest.GreenIfName).Attrs(); link.MTU != 1400 || link.Allmulti == 0 {
			t.Errorf("MTU %d, allmulti %d; want what tuning sets", link.MTU, link.Allmulti)
		}
		if mtu := p.Link(t, "eth0").Attrs().MTU; mtu != 1500 {
			t.Errorf("eth0 has the MTU %d; want 1500", mtu)
		}
		p.Del(t)
		p.ExpectGone(t)
	})
}

func TestAdd_PortMappings(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.Conf.Capabilities = map[string]bool{"portMappings": true}
	const gatewayAndPortmap = `, "isGateway": true}, {"type": "portmap", "capabilities": {"portMappings": true}}]}`
	tn.SetDelegates(`{"masterPlugin": true, "plugins": [{` + tn.BridgeConfig(t, "eth") + gatewayAndPortmap)
	tn.CreateNetwork(t, "green", `{"plugins": [{`+tn.BridgeConfig(t, "green")+gatewayAndPortmap)
	p := tn.NewPod(t, `[{"name":"green"}]`)
	port := 20000 + int(tn.Number)
	c := p.Runtime()
	c.Capabilities = portMapping(port)

	kactustest.MustResult(t)(p.AddWith(t, p.Conf, c))
	t.Run("reach the master delegate", func(t *testing.T) {
		if rules := natRules(t, fmt.Sprint(port), p.Addr(t, "eth0")); len(rules) == 0 {
			t.Errorf("no rule forwards the port %d to eth0", port)
		}
	})
	t.Run("reach no other network", func(t *testing.T) {
		if rules := natRules(t, p.Addr(t, kactustest.GreenIfName)); len(rules) > 0 {
			t.Errorf("rules for the network green: %q", rules)
		}
	})
	t.Run("reach a primary network", func(t *testing.T) {
		p := tn.NewPod(t, `[{"name":"green","isPrimary":true}]`)
		c := p.Runtime()
		c.Capabilities = portMapping(port + 1000)
		kactustest.MustResult(t)(p.AddWith(t, p.Conf, c))
		if rules := natRules(t, fmt.Sprint(port+1000), p.Addr(t, "eth0")); len(rules) == 0 {
			t.Errorf("no rule forwards the port %d to eth0", port+1000)
		}
		if err := p.DelWith(t, p.Conf, c); err != nil {
			t.Fatal(err)
		}
		if rules := natRules(t, fmt.Sprint(port+1000)); len(rules) > 0 {
			t.Errorf("rules left: %q", rules)
		}
		p.ExpectInterfaces(t)
	})
	t.Run("are gone after DEL", func(t *testing.T) {
		if err := p.DelWith(t, p.Conf, c); err != nil {
			t.Fatal(err)
		}
		if rules := natRules(t, fmt.Sprint(port)); len(rules) > 0 {
			t.Errorf("rules left: %q", rules)
		}
		p.ExpectGone(t)
	})
}

// portMapping returns the runtime's values for one port of the host.
func portMapping(hostPort int) map[string]any {
	mapping := map[string]any{"hostPort": hostPort, "containerPort": 80, "protocol": "tcp"}
	return map[string]any{"portMappings": []any{mapping}}
}

// natRules returns the node's NAT rules that contain all these words.
func natRules(t *testing.T, words ...string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "iptables", "--wait", "-t", "nat", "-S").CombinedOutput()
	if err != nil {
		t.Fatalf("iptables: %v: %s", err, out)
	}
	var found []string
	for rule := range strings.Lines(string(out)) {
		holds := true
		for _, word := range words {
			holds = holds && strings.Contains(rule, word)
		}
		if holds {
			found = append(found, rule)
		}
	}
	return found
}

func TestAdd_NetconfDelegates(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.SetDelegates(`{"masterPlugin": true, `+tn.BridgeConfig(t, "eth")+`}`,
		`{"name": "data", `+tn.BridgeConfig(t, "data")+`}`)
	tn.CreateBridgeNetworks(t, "green")
	t.Run("is attached besides the Pod's networks", func(t *testing.T) {
		p := tn.NewPod(t, `[{"name":"green"}]`)
		p.Add(t)
		p.ExpectInterfaces(t, "eth0", kactustest.DataIfName, kactustest.GreenIfName)
		p.Del(t)
		p.ExpectGone(t)
	})
}

func TestAdd_SpecPlugin(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	spec := kactustest.NetworkSpec{Plugin: "macvlan", Config: `{"master": "` + node.Uplink + `"}`}
	kactustest.Create(t, kactustest.NetworksPath(tn.Namespace), kactustest.NetworkObject("green", spec))
	t.Run("is the type where spec.config has none", func(t *testing.T) {
		p := tn.NewPod(t, `[{"name":"green"}]`)
		p.Add(t)
		if _, ok := p.Link(t, kactustest.GreenIfName).(*netlink.Macvlan); !ok {
			t.Errorf("%s is a %s; want a macvlan", kactustest.GreenIfName, p.Link(t, kactustest.GreenIfName).Type())
		}
		p.Del(t)
		p.ExpectGone(t)
	})
}
