package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// TestPod checks what a Pod gets for a netconf and an annotation.
func TestPod(t *testing.T) {
	const (
		master    = `[{"type": "flannel", "masterPlugin": true}]`
		auxiliary = `[{"type": "flannel", "masterPlugin": true}, {"type": "ptp", "name": "every"}]`

		byDefault = `eth0 kactus-net flannel {"dns":1}`
		green     = `net9f27410725ab green vlan`
		greenMAC  = `net9f27410725ab green vlan 0a:00:00:00:00:01 {"mac":"0a:00:00:00:00:01"}`
		blue      = `net48d6215903df blue macvlan`
	)
	tests := []struct {
		name       string
		delegates  string // of the netconf, which has the runtimeConfig {"dns": 1}
		annotation string
		want       []string // as describe returns it
	}{
		{"no annotation", master, ``, []string{byDefault}},
		{"an empty array", master, `[]`, []string{byDefault}},
		{"each network on the interface of its name", master, `[{"name": "green"}, {"name": "blue"}]`,
			[]string{byDefault, green, blue}},
		{"a chain is one attachment", master, `[{"name": "chain"}]`,
			[]string{byDefault, `net9951112f8dd2 chain bridge,tuning`}},
		{"the netconf's other delegates come before the Pod's networks", auxiliary, `[{"name": "green"}]`,
			[]string{byDefault, `net83ab982dd084 every ptp`, green}},
		{"a MAC address is for its own network, and in its runtimeConfig", master,
			`[{"name": "green", "ifMac": "0A:00:00:00:00:01"}, {"name": "blue"}]`,
			[]string{byDefault, greenMAC, blue}},
		{"addresses are for their own network", master,
			`[{"name": "green", "ips": ["192.168.42.10/24"]}, {"name": "blue"}]`,
			[]string{byDefault, `net9f27410725ab green vlan [192.168.42.10/24] {"ips":["192.168.42.10/24"]}`, blue}},
		{"the primary network has the master's place and the runtime's runtimeConfig", master,
			`[{"name": "green"}, {"name": "blue", "isPrimary": true}]`,
			[]string{`eth0 blue macvlan {"dns":1}`, green}},
		{"the primary network's MAC address is that of eth0", master,
			`[{"name": "blue", "isPrimary": true, "ifMac": "0a:00:00:00:00:02"}]`,
			[]string{`eth0 blue macvlan 0a:00:00:00:00:02 {"dns":1,"mac":"0a:00:00:00:00:02"}`}},
		{"a MAC address before the primary network is not that of eth0", master,
			`[{"name": "green", "ifMac": "0a:00:00:00:00:01"}, {"name": "blue", "isPrimary": true}]`,
			[]string{`eth0 blue macvlan {"dns":1}`, greenMAC}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Pod(newConf(t, tt.delegates), "eth0", selectNetworks(t, tt.annotation))
			if err != nil {
				t.Fatal(err)
			}
			if lines := describe(got); !slices.Equal(lines, tt.want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(lines, "\n  "), strings.Join(tt.want, "\n  "))
			}
		})
	}
}

func TestPod_Errors(t *testing.T) {
	const (
		master    = `[{"type": "flannel", "masterPlugin": true}]`
		auxiliary = `[{"type": "flannel", "masterPlugin": true}, {"type": "ptp", "name": "every"}]`
		collides  = `[{"type": "flannel", "masterPlugin": true}, {"type": "ptp", "name": "n-ee6b99c6809e"}]`
	)
	tests := []struct {
		name       string
		delegates  string
		ifName     string
		annotation string
		want       []string // parts of the error
	}{
		{"a network that the netconf gives every Pod", auxiliary, "eth0", `[{"name": "every"}]`,
			[]string{"every", "twice"}},
		{"two networks of the same interface name", collides, "eth0", `[{"name": "n-009b5fbe0257"}]`,
			[]string{"n-009b5fbe0257", "n-ee6b99c6809e", "netc78e9611f93e"}},
		{"a network of the default network's interface name", master, "net9f27410725ab", `[{"name": "green"}]`,
			[]string{"green", "kactus-net", "net9f27410725ab"}},
		{"a config of {}", master, "eth0", `[{"name": "empty"}]`, []string{"network red/empty", "spec.config", "type"}},
		{"two plugins", master, "eth0", `[{"name": "clash"}]`, []string{"network red/clash", "macvlan", "vlan"}},
		{"a path as the plugin", master, "eth0", `[{"name": "green"}, {"name": "path"}]`,
			[]string{"network red/path", "../sh"}},
		{"a path as the primary network's plugin", master, "eth0", `[{"name": "path", "isPrimary": true}]`,
			[]string{"network red/path", "../sh"}},
		{"a brace that closes early", master, "eth0", `[{"name": "early"}]`,
			[]string{"network red/early", "spec.config"}},
		{"two types", master, "eth0", `[{"name": "twice"}]`, []string{"network red/twice", "type", "twice"}},
		{"more than 1 MiB", master, "eth0", `[{"name": "big"}]`, []string{"network red/big", "1048576"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Pod(newConf(t, tt.delegates), tt.ifName, selectNetworks(t, tt.annotation))
			if err == nil {
				t.Fatalf("got %s, want an error", describe(got))
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error %q does not contain %q", err, part)
				}
			}
		})
	}
}

// TestPod_UpperLayers and TestPod_Errors have the other orders and errors.
func TestOrder(t *testing.T) {
	conf := newConf(t, `[{"type": "ptp", "masterPlugin": true}, {"type": "ptp", "name": "every"}]`)
	tests := []struct {
		name       string
		selections []network.Selection
		want       []int
		err        string
	}{
		{"none", nil, nil, ""},
		{"needs no Networks", []network.Selection{{Name: "a"}, {Name: "b"}, {Name: "c", UpperLayers: []string{"a"}}},
			[]int{1, 2, 0}, ""},
		{"the primary network keeps its place", []network.Selection{{Name: "a"}, {Name: "b", IsPrimary: true}},
			[]int{0, 1}, ""},
		{"a network in two namespaces", []network.Selection{{Name: "a", Namespace: "x"}, {Name: "a", Namespace: "y"}},
			nil, "the network a is requested twice by the Pod"},
		{"a network of the netconf", []network.Selection{{Name: "every"}},
			nil, "the network every is requested twice: by the netconf, for every Pod, and by the Pod"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Order(conf, "eth0", tt.selections)
			switch {
			case tt.err != "" && (err == nil || err.Error() != tt.err):
				t.Errorf("got %v, %v", got, err)
			case tt.err == "" && (err != nil || !slices.Equal(got, tt.want)):
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
		})
	}
}

func TestHot(t *testing.T) {
	conf := newConf(t, `[{"type": "ptp", "masterPlugin": true}]`)
	green := SelectedNetwork{
		Selection: network.Selection{Name: "green", Requests: network.Requests{MAC: "0a:00:00:00:00:01"}},
		Network:   network.Network{Name: "green", Namespace: "red", Plugin: "vlan"},
	}
	got, err := Hot(conf, green)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`net9f27410725ab green vlan 0a:00:00:00:00:01 {"mac":"0a:00:00:00:00:01"}`}
	if lines := describe([]Attachment{got}); !slices.Equal(lines, want) || got.Namespace != "red" {
		t.Errorf("got %s of the namespace %q, want %s", lines, got.Namespace, want)
	}
}

func TestPod_KeepsPodagentSkip(t *testing.T) {
	conf := newConf(t, `[{"type": "ptp", "masterPlugin": true}]`)
	got, err := Pod(conf, "eth0", selectNetworks(t, `[{"name": "green", "podagentSkip": true}, {"name": "blue"}]`))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range got {
		if a.PodagentSkip != (a.Network == "green") {
			t.Errorf("%s: got %t", a.Network, a.PodagentSkip)
		}
	}
}

func TestDefault(t *testing.T) {
	t.Run("the master delegate first, then the others", func(t *testing.T) {
		conf := newConf(t, `[{"type": "ptp", "masterPlugin": true}, {"type": "bridge", "name": "every"}]`)
		want := []string{`eth0 kactus-net ptp {"dns":1}`, "net83ab982dd084 every bridge"}
		if got := describe(Default(conf, "eth0")); !slices.Equal(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	})
	t.Run("a netconf whose delegates are invalid", func(t *testing.T) {
		if got := Default(netconf.Conf{}, "eth0"); got != nil {
			t.Errorf("got %s, want none", describe(got))
		}
	})
}

func TestNamespaces(t *testing.T) {
	tests := []struct {
		name     string
		conf     netconf.Conf
		selected string
		want     []string
	}{
		{"the Pod's own, then the default", netconf.Conf{NetworkNamespace: "default"}, "", []string{"red", "default"}},
		{"the Pod's own, then the netconf's", netconf.Conf{NetworkNamespace: "nets"}, "", []string{"red", "nets"}},
		{"one, where they are the same", netconf.Conf{NetworkNamespace: "red"}, "", []string{"red"}},
		{"the selected one alone", netconf.Conf{NetworkNamespace: "default"}, "blue", []string{"blue"}},
		{"isolated: the Pod's own is selected", netconf.Conf{NetworkNamespace: "default", NamespaceIsolation: true},
			"red", []string{"red"}},
		{"isolated: the netconf's is selected", netconf.Conf{NetworkNamespace: "nets", NamespaceIsolation: true},
			"nets", []string{"nets"}},
		{"isolated: none is selected", netconf.Conf{NetworkNamespace: "nets", NamespaceIsolation: true}, "",
			[]string{"red", "nets"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Namespaces(tt.conf, "red", network.Selection{Name: "green", Namespace: tt.selected})
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
		})
	}
	t.Run("isolated: another is selected", func(t *testing.T) {
		conf := netconf.Conf{NetworkNamespace: "default", NamespaceIsolation: true}
		got, err := Namespaces(conf, "red", network.Selection{Name: "green", Namespace: "blue"})
		if !errors.Is(err, ErrIsolation) || !strings.Contains(err.Error(), "blue/green") {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

// newConf returns the Conf of a netconf with those delegates and a runtimeConfig.
func newConf(t *testing.T, delegates string) netconf.Conf {
	t.Helper()
	conf, err := netconf.Parse([]byte(
		`{"cniVersion": "1.0.0", "name": "kactus-net", "runtimeConfig": {"dns": 1}, "delegates": ` + delegates + `}`))
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

// testNetworks are the Networks of the namespace red, by name.
var testNetworks = map[string]network.Network{
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

// selectNetworks returns the selections of the annotation and their Networks.
func selectNetworks(t *testing.T, annotation string) []SelectedNetwork {
	t.Helper()
	selections, err := network.ParseSelections(annotation)
	if err != nil {
		t.Fatal(err)
	}
	var selected []SelectedNetwork
	for _, s := range selections {
		n, ok := testNetworks[s.Name]
		if !ok {
			t.Fatalf("the test has no Network %s", s.Name)
		}
		n.Name, n.Namespace = s.Name, "red"
		selected = append(selected, SelectedNetwork{Selection: s, Network: n})
	}
	return selected
}

// describe returns a line for each attachment:
//
//	INTERFACE NETWORK PLUGIN[,PLUGIN…] [MAC] [IPS] [RUNTIMECONFIG]
func describe(attachments []Attachment) []string {
	var lines []string
	for _, a := range attachments {
		var types []string
		for _, p := range a.Config.Plugins {
			types = append(types, p.Type)
		}
		words := []string{a.IfName, a.Network, strings.Join(types, ",")}
		if a.MAC != "" {
			words = append(words, string(a.MAC))
		}
		if len(a.IPs) > 0 {
			words = append(words, fmt.Sprint(a.IPs))
		}
		if len(a.RuntimeConfig) > 0 {
			rc, _ := json.Marshal(a.RuntimeConfig)
			words = append(words, string(rc))
		}
		lines = append(lines, strings.Join(words, " "))
	}
	return lines
}
