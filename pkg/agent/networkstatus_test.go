package agent

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
)

// withResult returns an attachment whose ADD had that result.
func withResult(name, namespace, ifName, result string, change ...func(*ledger.Attachment)) ledger.Attachment {
	a := fakeAttachment(name, namespace, ifName, false)
	a.Result = json.RawMessage(result)
	for _, c := range change {
		c(&a)
	}
	return a
}

// Results of plugins, each on an interface net1 but for the first.
const (
	flannelResult = `{"cniVersion": "1.0.0", "interfaces": [{"name": "cni0", "mac": "0a:00:00:00:00:01"},
		{"name": "veth1"}, {"name": "eth0", "mac": "0A:00:00:00:00:02", "sandbox": "/n"}],
		"ips": [{"interface": 2, "address": "10.244.1.5/24", "gateway": "10.244.1.1"}],
		"routes": [{"dst": "10.244.0.0/16"}, {"dst": "0.0.0.0/0", "gw": "10.244.1.1"}], "dns": {}}`
	macvlanResult = `{"cniVersion": "1.1.0",
		"interfaces": [{"name": "net1", "mac": "0a:00:00:00:00:03", "mtu": 9000, "sandbox": "/n"}],
		"ips": [{"interface": 0, "address": "10.7.0.9/24"}, {"interface": 0, "address": "fd00::9/64"}],
		"dns": {"nameservers": ["10.7.0.53"], "domain": "d", "search": ["s"], "options": ["ndots:2"]}}`
	twoResult = `{"cniVersion": "1.0.0", "interfaces": [{"name": "net1", "mac": "0a:00:00:00:00:03", "sandbox": "/n"},
		{"name": "host1"}, {"name": "net1b", "mac": "0a:00:00:00:00:04", "sandbox": "/n"}],
		"ips": [{"interface": 0, "address": "10.7.0.9/24"}, {"interface": 1, "address": "10.7.0.1/24"},
		{"interface": 2, "address": "10.8.0.9/24", "gateway": "10.8.0.1"}, {"address": "10.9.0.9/24"},
		{"interface": 7, "address": "10.10.0.9/24"}],
		"routes": [{"dst": "::/0", "gw": "fd00::1"}]}`
	oldResult = `{"cniVersion": "0.2.0", "ip4": {"ip": "10.7.0.9/24", "gateway": "10.7.0.1",
		"routes": [{"dst": "0.0.0.0/0"}]}, "ip6": {"ip": "fd00::9/64"}}`
	sloppyResult = `{"cniVersion": "1.0.0", "interfaces": [{"name": "host1"},
		{"name": "net1", "mac": "0a:00:00:00:00:03"}],
		"ips": [{"interface": 0, "address": "10.7.0.1/24"}, {"interface": 1, "address": "10.7.0.9/24"}]}`
	routesResult = `{"cniVersion": "1.1.0", "interfaces": [{"name": "net1", "sandbox": "/n"}],
		"ips": [{"interface": 0, "address": "10.7.0.9/24", "gateway": "10.7.0.1"},
		{"interface": 0, "address": "10.8.0.9/24"}, {"interface": 0, "address": "fd00::9/64", "gateway": "fd00::1"}],
		"routes": [{"dst": "0.0.0.0/0", "table": 100, "gw": "10.7.0.7"}, {"dst": "0.0.0.0/1", "gw": "10.7.0.8"},
		{"dst": "0.0.0.0/0"}, {"dst": "0.0.0.0/0", "gw": "10.7.0.1"}, {"dst": "::/0", "gw": "fd00::2"},
		{"dst": "::/0", "gw": "fd00::3", "table": 254}]}`
)

func TestNetworkStatus(t *testing.T) {
	kernel := []netns.Interface{
		{Name: "lo", MTU: 65536}, {Name: "eth0", MAC: "0a:00:00:00:00:02", MTU: 1450},
		{Name: "net1", MAC: "0a:00:00:00:00:09", MTU: 1400}, {Name: "net1b", MTU: 1300},
	}
	ofNet1 := func(result string, change ...func(*ledger.Attachment)) ledger.Attachment {
		return withResult("green", "infra", "net1", result, change...)
	}
	tests := []struct {
		name       string
		attachment ledger.Attachment
		want       string // without the writer
	}{
		{"the default network", withResult("pod-net", "", "eth0", flannelResult),
			`[{"name":"pod-net","interface":"eth0","ips":["10.244.1.5"],"mac":"0a:00:00:00:00:02","mtu":1450,` +
				`"default":true,"dns":{},"gateway":["10.244.1.1"]}]`},
		{"a Network in place of the default network", withResult("green", "infra", "eth0", flannelResult),
			`[{"name":"infra/green","interface":"eth0","ips":["10.244.1.5"],"mac":"0a:00:00:00:00:02","mtu":1450,` +
				`"default":true,"dns":{},"gateway":["10.244.1.1"]}]`},
		{"another delegate of the netconf", withResult("mgmt", "", "net1", `{"cniVersion": "1.0.0"}`),
			`[{"name":"mgmt","interface":"net1","mac":"0a:00:00:00:00:09","mtu":1400,"dns":{}}]`},
		{"a Network", ofNet1(macvlanResult),
			`[{"name":"infra/green","interface":"net1","ips":["10.7.0.9","fd00::9"],"mac":"0a:00:00:00:00:03",` +
				`"mtu":9000,"dns":{"nameservers":["10.7.0.53"],"domain":"d","search":["s"],"options":["ndots:2"]}}]`},
		{"a MAC address that kactus enforced",
			ofNet1(macvlanResult, func(a *ledger.Attachment) { a.MAC = "0a:00:00:00:00:05" }),
			`[{"name":"infra/green","interface":"net1","ips":["10.7.0.9","fd00::9"],"mac":"0a:00:00:00:00:05",` +
				`"mtu":9000,"dns":{"nameservers":["10.7.0.53"],"domain":"d","search":["s"],"options":["ndots:2"]}}]`},
		{"a device", ofNet1(`{"cniVersion": "1.0.0"}`, func(a *ledger.Attachment) {
			a.DeviceInfo = json.RawMessage(`{"type":"pci","pci":{"pci-address":"0000:03:02.0"},"more":1}`)
		}), `[{"name":"infra/green","interface":"net1","mac":"0a:00:00:00:00:09","mtu":1400,"dns":{},` +
			`"device-info":{"type":"pci","pci":{"pci-address":"0000:03:02.0"},"more":1}}]`},
		{"two interfaces of one result", ofNet1(twoResult),
			`[{"name":"infra/green","interface":"net1","ips":["10.7.0.9"],"mac":"0a:00:00:00:00:03","mtu":1400,` +
				`"dns":{},"gateway":["fd00::1"]},{"name":"infra/green","interface":"net1b",` +
				`"ips":["10.8.0.9","10.9.0.9"],"mac":"0a:00:00:00:00:04","mtu":1300,"dns":{},"gateway":["fd00::1"]}]`},
		{"a result from before version 0.3.0", ofNet1(oldResult),
			`[{"name":"infra/green","interface":"net1","ips":["10.7.0.9","fd00::9"],"mac":"0a:00:00:00:00:09",` +
				`"mtu":1400,"dns":{},"gateway":["10.7.0.1"]}]`},
		{"a result without a sandbox", ofNet1(sloppyResult),
			`[{"name":"infra/green","interface":"net1","ips":["10.7.0.9"],"mac":"0a:00:00:00:00:03","mtu":1400,` +
				`"dns":{}}]`},
		{"no result, as the predecessor recorded none", ofNet1(``),
			`[{"name":"infra/green","interface":"net1","mac":"0a:00:00:00:00:09","mtu":1400,"dns":{}}]`},
		{"default routes of all kinds", ofNet1(routesResult),
			`[{"name":"infra/green","interface":"net1","ips":["10.7.0.9","10.8.0.9","fd00::9"],` +
				`"mac":"0a:00:00:00:00:09","mtu":1400,"dns":{},"gateway":["10.7.0.1","fd00::2","fd00::3"]}]`},
		{"no interface in the kernel", withResult("green", "infra", "net3", `{"cniVersion": "1.0.0",
			"interfaces": [{"name": "net3", "mac": "0a:00:00:00:00:06", "sandbox": "/n"}]}`,
			func(a *ledger.Attachment) { a.NoInterface = true }),
			`[{"name":"infra/green","interface":"net3","mac":"0a:00:00:00:00:06","dns":{}}]`},
		{"lost by the kernel", withResult("green", "infra", "net4", `{"cniVersion": "1.0.0"}`), `null`},
		{"planned", ofNet1(``, func(a *ledger.Attachment) { a.State = ledger.Planned }), `null`},
		{"half torn down", ofNet1(macvlanResult, func(a *ledger.Attachment) { a.Failures = 1 }), `null`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			record := ledger.Record{IfName: "eth0", Attachments: []ledger.Attachment{tt.attachment}}
			s := newNetworkStatus(record, kernel)
			for i, e := range s.entries {
				expect(t, "writer", e.Writer, statusWriter)
				s.entries[i].Writer = ""
			}
			got, err := json.Marshal(s.entries)
			if err != nil || string(got) != tt.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, tt.want)
			}
			if !s.interfaces[tt.attachment.IfName] {
				t.Errorf("%s is not known", tt.attachment.IfName)
			}
		})
	}
}

func TestNetworkStatus_Order(t *testing.T) {
	record := ledger.Record{IfName: "eth0", Attachments: []ledger.Attachment{
		fakeAttachment("b", "tenant", "net2", false), fakeAttachment("pod-net", "", "eth0", false),
		fakeAttachment("a", "tenant", "net1", true),
	}}
	kernel := []netns.Interface{{Name: "net1"}, {Name: "eth0"}, {Name: "net2"}}
	s := newNetworkStatus(record, kernel)
	var got []string
	for _, e := range s.entries {
		got = append(got, e.Interface)
	}
	expect(t, "interfaces", strings.Join(got, " "), "eth0 net2 net1")
	t.Run("without a default network, as another plugin started the Pod", func(t *testing.T) {
		record.IfName = ""
		for _, e := range newNetworkStatus(record, kernel).entries {
			if e.Default {
				t.Errorf("%s is the default", e.Interface)
			}
		}
	})
}

func TestNetworkStatus_DefaultOfSeveralInterfaces(t *testing.T) {
	of := func(ips string) string {
		record := ledger.Record{IfName: "eth0", Attachments: []ledger.Attachment{
			withResult("pod-net", "", "eth0", `{"cniVersion": "1.0.0", "interfaces": [{"name": "veth0"},
				{"name": "eth0", "sandbox": "/n"}, {"name": "eth0b", "sandbox": "/n"}], "ips": [`+ips+`]}`)}}
		var defaults []string
		for _, e := range newNetworkStatus(record, []netns.Interface{{Name: "eth0"}}).entries {
			if e.Default {
				defaults = append(defaults, e.Interface)
			}
		}
		return strings.Join(defaults, " ")
	}
	expect(t, "without a gateway", of(`{"interface": 2, "address": "10.0.0.2/24"}`), "eth0")
	expect(t, "with one", of(`{"interface": 2, "address": "10.0.0.2/24", "gateway": "10.0.0.1"}`), "eth0b")
	expect(t, "with one on the node", of(`{"interface": 0, "address": "10.0.0.2/24", "gateway": "10.0.0.1"}`),
		"eth0")
}

func TestNetworkStatus_DefaultRouteThatIsMoved(t *testing.T) {
	const bothFamilies = `"ips": [{"address": "10.0.0.2/24"}, {"address": "fd00::2/64"}],
		"routes": [{"dst": "0.0.0.0/0", "gw": "10.0.0.1"}, {"dst": "::/0", "gw": "fd00::1"}]`
	of := func(requested ...string) string {
		result := `{"cniVersion": "1.0.0", ` + bothFamilies + `}`
		record := ledger.Record{IfName: "eth0", Attachments: []ledger.Attachment{
			withResult("pod-net", "", "eth0", result), withResult("green", "t", "net1", result),
		}}
		for _, gateway := range requested {
			green := &record.Attachments[1]
			green.DefaultRoute = append(green.DefaultRoute, netip.MustParseAddr(gateway))
		}
		var all []string
		for _, e := range newNetworkStatus(record, []netns.Interface{{Name: "eth0"}, {Name: "net1"}}).entries {
			all = append(all, strings.Join(e.Gateway, " ")+" ("+strings.Join(e.DefaultRoute, " ")+")")
		}
		return strings.Join(all, ", ")
	}
	expect(t, "not at all", of(), "10.0.0.1 fd00::1 (), 10.0.0.1 fd00::1 ()")
	expect(t, "for IPv4", of("10.7.0.254"), "fd00::1 (), 10.7.0.254 fd00::1 (10.7.0.254)")
	expect(t, "for both", of("fd00::9", "10.7.0.254"), " (), fd00::9 10.7.0.254 (fd00::9 10.7.0.254)")
}

func ofNetworks(ifNames ...string) *networkStatus {
	record := ledger.Record{IfName: "eth0"}
	var kernel []netns.Interface
	for _, ifName := range ifNames {
		a := ledger.Attachment{
			Attachment: plan.Attachment{Network: ifName + "-net", Namespace: "t", IfName: ifName},
			State:      ledger.Attached,
		}
		record.Attachments = append(record.Attachments, a)
		kernel = append(kernel, netns.Interface{Name: ifName, MAC: network.MAC("0a:00:00:00:00:01")})
	}
	return newNetworkStatus(record, kernel)
}

func TestNetworkStatus_Merge(t *testing.T) {
	const foreign = `{"name": "x/y", "interface": "ext0", "org.foo": [1, 2]}`
	ours := func(ifName string) string {
		return `{"name": "t/` + ifName + `-net", "interface": "` + ifName + `", "mac": "0a:00:00:00:00:01", ` +
			`"dns": {}, "com.kaloom.writer": "kactus"}`
	}
	multus := func(ifName string) string { return `{"name": "t/` + ifName + `-net", "interface": "` + ifName + `"}` }
	tests := []struct {
		name   string
		status *networkStatus
		value  string
		want   string // the interfaces; "" for no change
	}{
		{"the first", ofNetworks("net1", "net2"), ``, "net1 net2"},
		{"the first, beside another writer's", ofNetworks("net1"), `[` + foreign + `]`, "net1 ext0"},
		{"nothing at all", ofNetworks(), ``, ""},
		{"the same, in another layout", ofNetworks("net1"), `[ ` + ours("net1") + `, ` + foreign + `]`, ""},
		{"the same, with a key that kactus does not know", ofNetworks("net1"),
			`[` + strings.Replace(ours("net1"), "{", `{"org.foo": 1, `, 1) + `]`, ""},
		{"one more", ofNetworks("net1", "net2"), `[` + foreign + `, ` + ours("net1") + `, ` + foreign + `]`,
			"ext0 net1 net2 ext0"},
		{"one less", ofNetworks("net2"), `[` + ours("net1") + `, ` + foreign + `, ` + ours("net2") + `]`, "net2 ext0"},
		{"the last one gone", ofNetworks(), `[` + ours("net1") + `]`, "none"},
		{"an entry that another writer made of an interface that the ledger knows", ofNetworks("net1"),
			`[` + multus("net1") + `]`, "net1"},
		{"one whose interface the ledger has forgotten, of another writer", ofNetworks("net1"),
			`[` + ours("net1") + `, ` + multus("net2") + `]`, ""},
		{"an entry without an interface", ofNetworks("net1"), `[{"name": "a"}, ` + ours("net1") + `]`, ""},
		{"another address", ofNetworks("net1"), `[` + strings.Replace(ours("net1"), "00:01", "00:02", 1) + `]`, "net1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			merged, err := tt.status.merge(tt.value)
			if err != nil {
				t.Error(err)
			}
			if tt.want == "" {
				expect(t, "value", merged, tt.value)
				return
			}
			expect(t, "interfaces", interfacesOf(t, merged), tt.want)
			if again, err := tt.status.merge(merged); again != merged || err != nil {
				t.Errorf("%s is not the end, but %s, %v", merged, again, err)
			}
			if kept := strings.Count(merged, `"org.foo"`); kept != strings.Count(tt.value, foreign) {
				t.Errorf("another writer's entry is not as it was in %s", merged)
			}
		})
	}
}

func interfacesOf(t *testing.T, value string) string {
	t.Helper()
	var entries []statusEntry
	if err := json.Unmarshal([]byte(value), &entries); err != nil {
		t.Fatalf("%s: %v", value, err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Interface)
	}
	if all == nil {
		return "none"
	}
	return strings.Join(all, " ")
}

func TestNetworkStatus_MergeWithWhatNobodyCanRead(t *testing.T) {
	const foreign = `{"name": "x", "interface": "ext0"}`
	for value, want := range map[string]string{
		`{`: "net1", `{"name": "a"}`: "net1", `"text"`: "net1", `7`: "net1", `[` + foreign: "net1",
		`[null, ` + foreign + `]`:                                     "net1 ext0",
		`[7, ` + foreign + `, "text", []]`:                            "net1 ext0",
		`[{"name": "a", "interface": 7}, ` + foreign + `]`:            "net1 ext0",
		`[{"name": "a", "ips": "10.0.0.1"}, ` + foreign + `]`:         "net1 ext0",
		strings.Repeat("[", 100_000):                                  "net1",
		"[" + strings.Repeat(`{"dns":`, 20_000) + "\x00\xff not JSON": "net1",
	} {
		merged, unreadable := ofNetworks("net1").merge(value)
		if unreadable == nil {
			t.Errorf("%.40s: nothing is said of it", value)
		}
		expect(t, value[:min(40, len(value))], interfacesOf(t, merged), want)
	}
	if merged, _ := ofNetworks().merge(`{`); merged != "[]" {
		t.Errorf("without entries: got %s", merged)
	}
}

// People read the annotation with kubectl describe, where they know it from Multus.
func TestNetworkStatus_Layout(t *testing.T) {
	const want = `[{
    "name": "t/eth0-net",
    "interface": "eth0",
    "mac": "0a:00:00:00:00:01",
    "default": true,
    "dns": {},
    "com.kaloom.writer": "kactus"
},{
    "name": "x",
    "ips": [
        "10.0.0.1"
    ]
}]`
	got, _ := ofNetworks("eth0").merge(`[{"name":"x","ips":["10.0.0.1"]}]`)
	expect(t, "value", got, want)
}

func FuzzNetworkStatus_Merge(f *testing.F) {
	for _, value := range []string{
		``, `[]`, `[{"name": "x", "interface": "ext0"}]`, `[null]`, `{`, `[{"device-info": 7}]`,
	} {
		f.Add(value)
	}
	s := ofNetworks("eth0", "net1")
	f.Fuzz(func(t *testing.T, value string) {
		merged, _ := s.merge(value)
		if got := interfacesOf(t, merged); !strings.Contains(got, "eth0") || !strings.Contains(got, "net1") {
			t.Errorf("got %s", merged)
		}
		if again, unreadable := s.merge(merged); again != merged || unreadable != nil {
			t.Errorf("%s is not the end, but %s, %v", merged, again, unreadable)
		}
	})
}
