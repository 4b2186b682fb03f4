package e2e

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// addressOf returns an address that no other tenant has, without its prefix length of 24.
func addressOf(tn *kactustest.Tenant, n int) string {
	return fmt.Sprintf("172.%d.%d.%d", 16+tn.Number/256, tn.Number%256, n)
}

func TestNPWG_StaticAddresses(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateNAD(t, "static", kactustest.MacvlanConfig(`{"type": "static"}`, "ips"))
	tn.CreateNAD(t, "leased", kactustest.MacvlanConfig(
		`{"type": "host-local", "dataDir": "`+tn.LeaseDir()+`", "subnet": "`+addressOf(tn, 0)+`/24"}`, "ips"))
	with := func(network, ip string) *kactustest.Pod {
		return tn.NewNPWGPod(t, `[{"name":"`+network+`","ips":["`+ip+`"]}]`)
	}
	t.Run("two Pods reach each other", func(t *testing.T) {
		one, two := with("static", addressOf(tn, 11)+"/24"), with("static", addressOf(tn, 12)+"/24")
		one.Add(t)
		two.Add(t)
		kactustest.ExpectSame(t, "addresses", one.Addrs(t, "net1"), []string{addressOf(tn, 11) + "/24"})
		ping(t, one, "net1", addressOf(tn, 12))
		ping(t, two, "net1", addressOf(tn, 11))
		kactustest.Must(t, one.CheckWith(t, one.Conf, one.Runtime()))
		one.Del(t)
		two.Del(t)
		one.ExpectGone(t)
		two.ExpectGone(t)
	})
	t.Run("static needs a prefix length", func(t *testing.T) {
		p := with("static", addressOf(tn, 11))
		kactustest.ExpectError(t, p.AddError(t), 102, "static", addressOf(tn, 11))
		p.ExpectGone(t)
	})
	for what, prefix := range map[string]string{"without": "", "with": "/24"} {
		t.Run("host-local takes an address "+what+" a prefix length", func(t *testing.T) {
			p := with("leased", addressOf(tn, 13)+prefix)
			p.Add(t)
			kactustest.ExpectSame(t, "addresses", p.Addrs(t, "net1"), []string{addressOf(tn, 13) + "/24"})
			p.Del(t)
			p.ExpectGone(t)
		})
	}
	t.Run("host-local has no such address", func(t *testing.T) {
		p := with("leased", "192.0.2.7")
		kactustest.ExpectError(t, p.AddError(t), 102, "leased", "192.0.2.7")
		p.ExpectGone(t)
	})
}

func TestNPWG_Chain(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateNAD(t, "tuned", `{"cniVersion": "1.0.0", "plugins": [`+kactustest.MacvlanConfig(`{}`)+`,
		{"type": "tuning", "mtu": 1400, "capabilities": {"mac": true}}]}`)
	tn.CreateNAD(t, "mapped", `{"cniVersion": "1.0.0", "plugins": [{`+tn.BridgeConfig(t, "mapped")+
		`, "isGateway": true}, {"type": "portmap", "capabilities": {"portMappings": true}}]}`)
	t.Run("tuning sets the MAC address", func(t *testing.T) {
		mac := tn.UniqueMAC(1)
		p := tn.NewNPWGPod(t, `[{"name":"tuned","mac":"`+mac+`"}]`)
		p.Add(t)
		if got, mtu := p.MAC(t, "net1"), p.Link(t, "net1").Attrs().MTU; got != mac || mtu != 1400 {
			t.Errorf("MAC address %s, MTU %d; want %s and 1400", got, mtu, mac)
		}
		kactustest.Must(t, p.CheckWith(t, p.Conf, p.Runtime()))
		p.Del(t)
		p.ExpectGone(t)
	})
	t.Run("portmap forwards the port", func(t *testing.T) {
		port := fmt.Sprint(30000 + tn.Number)
		p := tn.NewNPWGPod(t, `[{"name":"mapped","portMappings":[{"hostPort":`+port+`,"containerPort":80}]}]`)
		p.Add(t)
		if rules := natRules(t, port, p.Addr(t, "net1")+":80", "tcp"); len(rules) == 0 {
			t.Errorf("no rule forwards the port %s", port)
		}
		p.Del(t)
		if rules := natRules(t, port); len(rules) > 0 {
			t.Errorf("rules left: %q", rules)
		}
		p.ExpectGone(t)
	})
}

// requestedKeys are the requests of an element that reach a delegate, in JSON without the braces,
// and what the delegate must be told.
func requestedKeys(tn *kactustest.Tenant) (keys string, runtimeConfig map[string]string) {
	mac, ip := tn.UniqueMAC(9), addressOf(tn, 99)+"/24"
	keys = `"mac":"` + mac + `","ips":["` + ip + `"],"infiniband-guid":"C2:11:22:33:44:55:66:77",
		"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"UDP","hostIP":"192.0.2.1"}],
		"bandwidth":{"ingressRate":1000000,"ingressBurst":2000000,"egressRate":3000000},
		"cni-args":{"spoofchk":"off","nested":{"a":[1]}}`
	return keys, map[string]string{
		"mac": `"` + mac + `"`, "ips": `["` + ip + `"]`, "infinibandGUID": `"c2:11:22:33:44:55:66:77"`,
		"portMappings": `[{"containerPort":80,"hostIP":"192.0.2.1","hostPort":8080,"protocol":"udp"}]`,
		"bandwidth":    `{"egressBurst":2147483647,"egressRate":3000000,"ingressBurst":2000000,"ingressRate":1000000}`,
	}
}

// recordedConfig is the configuration of a network whose delegate record is told everything, and
// has arguments of its own.
func recordedConfig() string {
	return `{"cniVersion": "1.0.0", "plugins": [` +
		kactustest.MacvlanConfig(`{"type": "static"}`, "ips", "mac") + `, {"type": "record", ` +
		`"args": {"cni": {"spoofchk": "on", "kept": "yes"}}, "capabilities": {"mac": true, "ips": true, ` +
		`"portMappings": true, "bandwidth": true, "infinibandGUID": true, "ipam-claim-reference": true}}]}`
}

// expectRequested fails the test unless record was told what requestedKeys returns.
func expectRequested(t *testing.T, p *kactustest.Pod, ifName string) {
	t.Helper()
	_, want := requestedKeys(p.Tenant)
	told := p.Recorded(t, "record", "ADD", ifName)
	if attached, _ := p.Record(t).Find(ifName); told.Name != attached.Network || told.CNIVersion != "1.0.0" {
		t.Errorf("name %s and version %s; want %s and 1.0.0", told.Name, told.CNIVersion, attached.Network)
	}
	got := map[string]string{}
	for key, value := range told.RuntimeConfig {
		got[key] = normalized(t, value)
	}
	if toJSON(t, got) != toJSON(t, want) {
		t.Errorf("runtimeConfig %s; want %s", toJSON(t, got), toJSON(t, want))
	}
	if args := normalized(t, kactustest.Encode(t, told.Args.CNI)); args !=
		`{"kept":"yes","nested":{"a":[1]},"spoofchk":"off"}` {
		t.Errorf("args.cni: %s", args)
	}
	if got := p.MAC(t, ifName); got != p.UniqueMAC(9) {
		t.Errorf("MAC address %s; want %s", got, p.UniqueMAC(9))
	}
	kactustest.ExpectSame(t, "addresses", p.Addrs(t, ifName), []string{addressOf(p.Tenant, 99) + "/24"})
}

// normalized returns JSON with sorted keys.
func normalized(t *testing.T, data []byte) string {
	t.Helper()
	var v any
	kactustest.Must(t, json.Unmarshal(data, &v))
	return toJSON(t, v)
}

func TestNPWG_Requests(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.AddRecorder(t, "record", "tuning")
	tn.CreateNAD(t, "net-a", recordedConfig())
	tn.CreateNetwork(t, "green", recordedConfig())
	keys, _ := requestedKeys(tn)
	for _, c := range []struct{ name, annotation, networks, ifName string }{
		{"of NetworkAttachmentDefinitions", kactustest.NPWGAnnotation, `[{"name":"net-a",` + keys + `}]`, "net1"},
		{"of Networks", "networks", `[{"name":"green",` + keys + `}]`, green},
		{"of Networks, with an interface", "networks", `[{"name":"green","interface":"red0",` + keys + `}]`, "red0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := tn.NewAnnotatedPod(t, map[string]string{c.annotation: c.networks})
			p.Add(t)
			p.ExpectInterfaces(t, "eth0", c.ifName)
			expectRequested(t, p, c.ifName)
			kactustest.Must(t, p.CheckWith(t, p.Conf, p.Runtime()))
			p.Del(t)
			added, deleted := p.Recorded(t, "record", "ADD", c.ifName), p.Recorded(t, "record", "DEL", c.ifName)
			if toJSON(t, deleted) != toJSON(t, added) {
				t.Errorf("DEL was told %s; ADD %s", toJSON(t, deleted), toJSON(t, added))
			}
			p.ExpectGone(t)
		})
	}
	t.Run("of an IPAMClaim", func(t *testing.T) {
		tn.CreateNAD(t, "claimed", `{"cniVersion": "1.0.0", "plugins": [`+kactustest.MacvlanConfig(`{}`)+
			`, {"type": "record", "capabilities": {"ipam-claim-reference": true}}]}`)
		p := tn.NewNPWGPod(t, `[{"name":"claimed","ipam-claim-reference":"vm.net-a"}]`)
		p.Add(t)
		told := p.Recorded(t, "record", "ADD", "net1").RuntimeConfig
		if string(told["ipam-claim-reference"]) != `"vm.net-a"` {
			t.Errorf("runtimeConfig %s", toJSON(t, told))
		}
		p.Del(t)
		p.ExpectGone(t)
	})
}

func TestNPWG_CapabilityNotDeclared(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNADs(t, "net-a")
	tn.CreateNAD(t, "net-b", `{"cniVersion": "1.0.0", "plugins": [`+kactustest.MacvlanConfig(`{}`)+`,
		{"type": "tuning", "capabilities": {"mac": false, "ips": false}}]}`)
	for _, c := range []struct{ capability, keys string }{
		{"mac", `"mac":"02:00:00:00:00:07"`},
		{"ips", `"ips":["192.0.2.7/24"]`},
		{"portMappings", `"portMappings":[{"hostPort":8080,"containerPort":80}]`},
		{"bandwidth", `"bandwidth":{"ingressRate":1000}`},
		{"infinibandGUID", `"infiniband-guid":"c2:11:22:33:44:55:66:77"`},
	} {
		t.Run(c.capability, func(t *testing.T) {
			p := tn.NewNPWGPod(t, `[{"name":"net-a"},{"name":"net-b",`+c.keys+`}]`)
			kactustest.ExpectError(t, p.AddError(t), 105, "net-b", c.capability, "macvlan", "tuning")
			p.ExpectUntouched(t)
		})
	}
	t.Run("needs none for what plugins read elsewhere, or for nothing", func(t *testing.T) {
		p := tn.NewNPWGPod(t, `[{"name":"net-b","cni-args":{"a":"b"},"ipam-claim-reference":"vm","ips":[],`+
			`"portMappings":[],"bandwidth":{},"mac":""}]`)
		p.Add(t)
		p.ExpectInterfaces(t, "eth0", "net1")
		p.Del(t)
		p.ExpectGone(t)
	})
}
