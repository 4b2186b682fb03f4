package plan

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// TestPod is the product: from the netconf and what the Pod asks for to what it gets, a line a device.
func TestPod(t *testing.T) {
	networks := map[string]network.Network{
		"green":          {Plugin: "vlan", Config: `{"vlanId": 42}`},
		"blue":           {Config: `{"type": "macvlan"}`},
		"chain":          {Config: `{"plugins": [{"type": "bridge"}, {"type": "tuning"}]}`},
		"empty":          {Config: `{}`},
		"clash":          {Plugin: "vlan", Config: `{"type": "macvlan"}`},
		"path":           {Config: `{"type": "../sh"}`},
		"early":          {Config: `{"type": "vlan"}, "vlanId": 42}`},
		"twice":          {Config: `{"type": "vlan", "type": "ptp"}`},
		"every":          {Config: `{"type": "ptp"}`},
		"big":            {Config: `{"type": "ptp", "x": "` + strings.Repeat("a", 1<<20) + `"}`},
		"n-009b5fbe0257": {Config: `{"type": "ptp"}`},
	}
	const (
		master    = `[{"type": "flannel", "masterPlugin": true}]`
		auxiliary = `[{"type": "flannel", "masterPlugin": true}, {"type": "ptp", "name": "every"}]`
		collides  = `[{"type": "flannel", "masterPlugin": true}, {"type": "ptp", "name": "n-ee6b99c6809e"}]`
	)
	tests := []struct {
		behaviour  string
		delegates  string // the netconf's; it has runtimeConfig {"dns": 1}
		annotation string
		// what the Pod gets: "DEVICE NETWORK PLUGIN[,PLUGIN…] [MAC] [RUNTIMECONFIG]"
		want []string
		says []string
	}{
		{"without an annotation, the default network alone", master, ``,
			[]string{`eth0 kactus-net flannel {"dns":1}`}, nil},
		{"an empty array asks for nothing", master, `[]`,
			[]string{`eth0 kactus-net flannel {"dns":1}`}, nil},
		{"each network on the device that its name gives", master, `[{"name": "green"}, {"name": "blue"}]`,
			[]string{`eth0 kactus-net flannel {"dns":1}`, `net9f27410725ab green vlan`, `net48d6215903df blue macvlan`}, nil},
		{"a chain stays one attachment", master, `[{"name": "chain"}]`,
			[]string{`eth0 kactus-net flannel {"dns":1}`, `net9951112f8dd2 chain bridge,tuning`}, nil},
		{"the netconf's other delegates come before the Pod's networks", auxiliary, `[{"name": "green"}]`,
			[]string{`eth0 kactus-net flannel {"dns":1}`, `net83ab982dd084 every ptp`, `net9f27410725ab green vlan`}, nil},
		{"a MAC address goes to its own network, as runtimeConfig too", master, `[{"name": "green", "ifMac": "0A:00:00:00:00:01"}, {"name": "blue"}]`,
			[]string{`eth0 kactus-net flannel {"dns":1}`, `net9f27410725ab green vlan 0a:00:00:00:00:01 {"mac":"0a:00:00:00:00:01"}`, `net48d6215903df blue macvlan`}, nil},
		{"addresses go to their own network", master, `[{"name": "green", "ips": ["192.168.42.10/24"]}]`,
			[]string{`eth0 kactus-net flannel {"dns":1}`, `net9f27410725ab green vlan {"ips":["192.168.42.10/24"]}`}, nil},
		{"the primary takes the master delegate's place, and what the runtime says", master, `[{"name": "green"}, {"name": "blue", "isPrimary": true}]`,
			[]string{`eth0 blue macvlan {"dns":1}`, `net9f27410725ab green vlan`}, nil},
		{"the primary's MAC address is eth0's", master, `[{"name": "blue", "isPrimary": true, "ifMac": "0a:00:00:00:00:02"}]`,
			[]string{`eth0 blue macvlan 0a:00:00:00:00:02 {"dns":1,"mac":"0a:00:00:00:00:02"}`}, nil},
		{"a MAC address listed before the primary is not eth0's", master, `[{"name": "green", "ifMac": "0a:00:00:00:00:01"}, {"name": "blue", "isPrimary": true}]`,
			[]string{`eth0 blue macvlan {"dns":1}`, `net9f27410725ab green vlan 0a:00:00:00:00:01 {"mac":"0a:00:00:00:00:01"}`}, nil},
		{"a network that the netconf gives every Pod already", auxiliary, `[{"name": "every"}]`, nil, []string{"every", "twice"}},
		{"two networks with one device name, of netconf and Pod", collides, `[{"name": "n-009b5fbe0257"}]`, nil, []string{"n-009b5fbe0257", "n-ee6b99c6809e", "netc78e9611f93e"}},
		{"a Network of {}", master, `[{"name": "empty"}]`, nil, []string{"network red/empty", "spec.config", "type"}},
		{"a Network that names two plugins", master, `[{"name": "clash"}]`, nil, []string{"network red/clash", "macvlan", "vlan"}},
		{"a Network whose plugin is a path", master, `[{"name": "green"}, {"name": "path"}]`, nil, []string{"network red/path", "../sh"}},
		{"a Network whose config closes its brace early", master, `[{"name": "early"}]`, nil, []string{"network red/early", "spec.config"}},
		{"a Network with two types", master, `[{"name": "twice"}]`, nil, []string{"network red/twice", "type", "twice"}},
		{"a Network of more than 1 MiB", master, `[{"name": "big"}]`, nil, []string{"network red/big", "1048576"}},
	}
	for _, tt := range tests {
		t.Run(tt.behaviour, func(t *testing.T) {
			conf := parseConf(t, `"runtimeConfig": {"dns": 1}, "delegates": `+tt.delegates)
			got, err := Pod(conf, "eth0", choose(t, tt.annotation, networks))
			if tt.says != nil {
				expectError(t, err, tt.says)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if lines := describe(got); !slices.Equal(lines, tt.want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(lines, "\n  "), strings.Join(tt.want, "\n  "))
			}
		})
	}
}

func TestHot(t *testing.T) {
	conf := parseConf(t, `"runtimeConfig": {"dns": 1}, "delegates": [{"type": "ptp", "masterPlugin": true}]`)
	got, err := Hot(conf, Choice{
		Selection: network.Selection{Name: "green", IfMAC: "0a:00:00:00:00:01"},
		Network:   network.Network{Name: "green", Namespace: "red", Plugin: "vlan"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{`net9f27410725ab green vlan 0a:00:00:00:00:01 {"mac":"0a:00:00:00:00:01"}`}; !slices.Equal(describe([]Attachment{got}), want) {
		t.Errorf("got %s", describe([]Attachment{got}))
	}
}

func TestDefault(t *testing.T) {
	conf := parseConf(t, `"delegates": [{"type": "ptp", "masterPlugin": true}, {"type": "bridge", "name": "every"}]`)
	if got, want := describe(Default(conf, "eth0")), []string{"eth0 kactus-net ptp", "net83ab982dd084 every bridge"}; !slices.Equal(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := Default(netconf.Conf{}, "eth0"); got != nil {
		t.Errorf("a netconf whose delegates could not be read gives %s", describe(got))
	}
}

func TestNamespaces(t *testing.T) {
	tests := []struct {
		behaviour string
		keys      string
		selected  string
		want      []string // nil: refused
	}{
		{"the Pod's own, then the default", ``, "", []string{"red", "default"}},
		{"the Pod's own, then the netconf's", `"networkNamespace": "nets",`, "", []string{"red", "nets"}},
		{"one, where they are the same", `"networkNamespace": "red",`, "", []string{"red"}},
		{"the one that the Pod names, and no other", ``, "blue", []string{"blue"}},
		{"under isolation, the Pod's own by name", `"namespaceIsolation": true,`, "red", []string{"red"}},
		{"under isolation, the netconf's by name", `"namespaceIsolation": true, "networkNamespace": "nets",`, "nets", []string{"nets"}},
		{"under isolation, both without a name", `"namespaceIsolation": true, "networkNamespace": "nets",`, "", []string{"red", "nets"}},
		{"under isolation, no other", `"namespaceIsolation": true,`, "blue", nil},
	}
	for _, tt := range tests {
		t.Run(tt.behaviour, func(t *testing.T) {
			conf := parseConf(t, tt.keys+`"delegates": [{"type": "ptp", "masterPlugin": true}]`)
			got, err := Namespaces(conf, "red", network.Selection{Name: "green", Namespace: tt.selected})
			if tt.want == nil {
				if !errors.Is(err, ErrIsolation) || !strings.Contains(err.Error(), "blue/green") {
					t.Errorf("got %v, %v", got, err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
		})
	}
}

func parseConf(t *testing.T, keys string) netconf.Conf {
	t.Helper()
	conf, err := netconf.Parse([]byte(`{"cniVersion": "1.0.0", "name": "kactus-net", ` + keys + `}`))
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

func choose(t *testing.T, annotation string, networks map[string]network.Network) []Choice {
	t.Helper()
	selections, err := network.ParseSelections(annotation)
	if err != nil {
		t.Fatal(err)
	}
	var choices []Choice
	for _, s := range selections {
		n, ok := networks[s.Name]
		if !ok {
			t.Fatalf("the test has no Network %s", s.Name)
		}
		n.Name, n.Namespace = s.Name, "red"
		choices = append(choices, Choice{Selection: s, Network: n})
	}
	return choices
}

func describe(attachments []Attachment) []string {
	var lines []string
	for _, a := range attachments {
		var types []string
		for _, p := range a.Config.Plugins {
			types = append(types, p.Type)
		}
		words := []string{a.Device, a.Network, strings.Join(types, ",")}
		if a.MAC != "" {
			words = append(words, string(a.MAC))
		}
		if len(a.RuntimeConfig) > 0 {
			rc, _ := json.Marshal(a.RuntimeConfig)
			words = append(words, string(rc))
		}
		lines = append(lines, strings.Join(words, " "))
	}
	return lines
}

func expectError(t *testing.T, err error, says []string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, words := range says {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("the error %q does not say %q", err, words)
		}
	}
}
