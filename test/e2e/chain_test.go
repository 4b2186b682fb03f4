package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

func TestChain(t *testing.T) {
	t.Parallel()
	t.Run("a Network may be a chain, whose plugins each do their part", func(t *testing.T) {
		tn := newTenant(t)
		tn.network(t, "green", `{"plugins": [{`+tn.bridge(t, "green")+`}, {"type": "tuning", "mtu": 1400, "allmulti": true}, {"type": "portmap"}]}`)
		p := tn.pod(t, `[{"name":"green"}]`)
		p.add(t)
		p.expectDevices(t, "eth0", greenDevice)
		if link := p.link(t, greenDevice).Attrs(); link.MTU != 1400 || link.Allmulti == 0 {
			t.Errorf("MTU %d, allmulti %d; want what tuning is told to set", link.MTU, link.Allmulti)
		}
		if mtu := p.link(t, "eth0").Attrs().MTU; mtu != 1500 {
			t.Errorf("eth0 has the MTU %d; want 1500", mtu)
		}
		p.del(t)
		p.expectGone(t)
	})
}

func TestPortMappings(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	tn.conf.Capabilities = map[string]bool{"portMappings": true}
	tn.delegates(`{"masterPlugin": true, "plugins": [{` + tn.bridge(t, "eth") + `, "isGateway": true}, {"type": "portmap", "capabilities": {"portMappings": true}}]}`)
	tn.network(t, "green", `{"plugins": [{`+tn.bridge(t, "green")+`, "isGateway": true}, {"type": "portmap", "capabilities": {"portMappings": true}}]}`)
	p := tn.pod(t, `[{"name":"green"}]`)
	port := 20000 + int(tn.number)
	c := p.runtime()
	c.capabilities = map[string]any{"portMappings": []any{map[string]any{"hostPort": port, "containerPort": 80, "protocol": "tcp"}}}

	current(t)(p.libcniAdd(t, p.conf, c))
	t.Run("reach the master delegate's portmap", func(t *testing.T) {
		if rules := natRules(t, fmt.Sprint(port), p.addr(t, "eth0")); len(rules) == 0 {
			t.Errorf("no rule forwards the port %d to eth0", port)
		}
	})
	t.Run("reach no other network", func(t *testing.T) {
		if rules := natRules(t, p.addr(t, greenDevice)); len(rules) > 0 {
			t.Errorf("rules for the network green: %q", rules)
		}
	})
	t.Run("reach the network that takes the master's place", func(t *testing.T) {
		p := tn.pod(t, `[{"name":"green","isPrimary":true}]`)
		c := p.runtime()
		c.capabilities = map[string]any{"portMappings": []any{map[string]any{"hostPort": port + 1000, "containerPort": 80, "protocol": "tcp"}}}
		current(t)(p.libcniAdd(t, p.conf, c))
		if rules := natRules(t, fmt.Sprint(port+1000), p.addr(t, "eth0")); len(rules) == 0 {
			t.Errorf("no rule forwards the port %d to eth0", port+1000)
		}
		if err := p.libcniDel(t, p.conf, c); err != nil {
			t.Fatal(err)
		}
		if rules := natRules(t, fmt.Sprint(port+1000)); len(rules) > 0 {
			t.Errorf("rules left: %q", rules)
		}
		p.expectDevices(t)
	})
	t.Run("are gone after DEL", func(t *testing.T) {
		if err := p.libcniDel(t, p.conf, c); err != nil {
			t.Fatal(err)
		}
		if rules := natRules(t, fmt.Sprint(port)); len(rules) > 0 {
			t.Errorf("rules left: %q", rules)
		}
		p.expectGone(t)
	})
}

// natRules are the node's rules with all these words.
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

func TestNetconfAuxiliary(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	tn.delegates(`{"masterPlugin": true, `+tn.bridge(t, "eth")+`}`, `{"name": "data", `+tn.bridge(t, "data")+`}`)
	tn.bridges(t, "green")
	t.Run("is in a Pod beside its networks", func(t *testing.T) {
		p := tn.pod(t, `[{"name":"green"}]`)
		p.add(t)
		p.expectDevices(t, "eth0", dataDevice, greenDevice)
		p.del(t)
		p.expectGone(t)
	})
}

func TestSpecPlugin(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	create(t, networksPath(tn.namespace), networkObject("green", networkSpec{Plugin: "macvlan", Config: `{"master": "` + node.Uplink + `"}`}))
	t.Run("is the type where spec.config has none", func(t *testing.T) {
		p := tn.pod(t, `[{"name":"green"}]`)
		p.add(t)
		if _, ok := p.link(t, greenDevice).(*netlink.Macvlan); !ok {
			t.Errorf("%s is a %s; want a macvlan", greenDevice, p.link(t, greenDevice).Type())
		}
		p.del(t)
		p.expectGone(t)
	})
}
