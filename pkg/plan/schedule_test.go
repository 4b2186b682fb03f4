package plan

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// TestSchedule checks which of the networks a, b, c … run at once, in which order.
func TestSchedule(t *testing.T) {
	const (
		macvlan = `{"type": "macvlan", "master": "eth1", "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"}}`
		bridge  = `{"type": "bridge", "bridge": "br1", "ipam": {"type": "static"}}`
	)
	tests := []struct {
		name     string
		networks []string
		want     string // groups are separated by a bar
	}{
		{"no network", nil, "eth0"},
		{"one network", []string{macvlan}, "eth0 | a"},
		{"independent networks", []string{macvlan, bridge, `{"type": "ptp"}`}, "eth0 | a b c"},
		{"every independent type", independentConfigs(), "eth0 | a b c d e f g h i j"},
		{"an unknown type", []string{macvlan, `{"type": "unknown"}`, macvlan}, "eth0 | a | b | c"},
		{"an unknown type between neighbors", []string{macvlan, bridge, `{"type": "unknown"}`, macvlan, bridge},
			"eth0 | a b | c | d e"},
		{"a type that the operator allows", []string{macvlan, `{"type": "allowed", "ipam": {"type": "allowed-ipam"}}`},
			"eth0 | a b"},
		{"an unknown IPAM type", []string{macvlan, `{"type": "macvlan", "ipam": {"type": "dhcp"}}`}, "eth0 | a | b"},
		{"a chain of independent plugins", []string{`{"plugins": [{"type": "bridge"}, {"type": "macvlan"}]}`, macvlan},
			"eth0 | a b"},
		{"a chain with tuning",
			[]string{`{"plugins": [{"type": "bridge"}, {"type": "tuning"}]}`, macvlan}, "eth0 | a | b"},
		{"chains with what they share in the Pod", chainsWith("sbr", "vrf", "firewall", "route-override", "bandwidth",
			"portmap"), "eth0 | a | b | c | d | e | f"},
		{"on a sibling's interface", []string{bridge, `{"type": "macvlan", "master": "netx", "linkInContainer": true}`},
			"eth0 | a | b"},
		{"not on a sibling's interface",
			[]string{bridge, `{"type": "macvlan", "linkInContainer": false}`}, "eth0 | a b"},
		{"on siblings' interfaces", []string{bridge, `{"type": "allowed", "linksInContainer": true}`}, "eth0 | a | b"},
		{"on a sibling's interface, said in another way",
			[]string{bridge, `{"type": "macvlan", "LinkInContainer": "True"}`}, "eth0 | a | b"},
		{"on a sibling's interface, deep in the configuration",
			[]string{bridge, `{"type": "allowed", "x": [{"delegate": {"linkInContainer": true}}]}`}, "eth0 | a | b"},
		{"routes of the IPAM plugin", []string{macvlan,
			`{"type": "macvlan", "ipam": {"type": "static", "routes": [{"dst": "0.0.0.0/0"}]}}`, macvlan},
			"eth0 | a | b | c"},
		{"no routes of the IPAM plugin",
			[]string{macvlan, `{"type": "macvlan", "ipam": {"type": "static", "routes": []}}`},
			"eth0 | a b"},
		{"a default gateway", []string{`{"type": "bridge", "isDefaultGateway": true}`, macvlan}, "eth0 | a | b"},
		{"on a bridge that a sibling makes", []string{bridge, `{"type": "macvlan", "master": "br1"}`, macvlan},
			"eth0 | a | b c"},
		{"on the bridge that a sibling makes by default",
			[]string{`{"type": "bridge"}`, `{"type": "vlan", "master": "cni0"}`},
			"eth0 | a | b"},
		{"a sibling makes the bridge afterwards",
			[]string{`{"type": "macvlan", "master": "br1"}`, bridge}, "eth0 | a | b"},
		{"two on one bridge", []string{bridge, bridge}, "eth0 | a b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			attachments := planOf(t, tt.networks)
			got := describeSchedule(attachments, Schedule(attachments, []string{"allowed", "allowed-ipam"}, false))
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// independentConfigs returns a configuration of each type of independent interface plugin, with an
// independent IPAM plugin each.
func independentConfigs() []string {
	types := strings.Fields("bridge dummy host-device ipvlan macvlan ovs ptp sriov tap vlan")
	ipam := strings.Fields("host-local null static whereabouts")
	var all []string
	for i, pluginType := range types {
		all = append(all, fmt.Sprintf(`{"type": %q, "ipam": {"type": %q}}`, pluginType, ipam[i%len(ipam)]))
	}
	return all
}

func chainsWith(types ...string) []string {
	var all []string
	for _, pluginType := range types {
		all = append(all, fmt.Sprintf(`{"plugins": [{"type": "macvlan"}, {"type": %q}]}`, pluginType))
	}
	return all
}

func planOf(t *testing.T, configs []string) []Attachment {
	t.Helper()
	conf := newConf(t, `[{"type": "ptp", "masterPlugin": true}]`)
	var selected []SelectedNetwork
	for i, config := range configs {
		name := string(rune('a' + i))
		selected = append(selected, SelectedNetwork{
			Selection: network.Selection{Name: name},
			Network:   network.Network{Name: name, Namespace: "red", Config: config},
		})
	}
	attachments, err := Pod(conf, "eth0", selected)
	if err != nil {
		t.Fatal(err)
	}
	return attachments
}

func describeSchedule(attachments []Attachment, groups [][]int) string {
	var all []string
	for _, group := range groups {
		var names []string
		for _, i := range group {
			name := attachments[i].Network
			if attachments[i].IfName == "eth0" {
				name = "eth0"
			}
			names = append(names, name)
		}
		all = append(all, strings.Join(names, " "))
	}
	return strings.Join(all, " | ")
}

func TestPod_UpperLayers(t *testing.T) {
	tests := []struct {
		name   string
		layers map[string][]string // the upper layers of a, b, c and d
		want   string
	}{
		{"none", nil, "a b c d"},
		{"in the order of the annotation", map[string][]string{"a": {"d"}}, "a b c d"},
		{"against the order of the annotation", map[string][]string{"d": {"a"}}, "b c d a"},
		{"two on one", map[string][]string{"c": {"a", "b"}}, "c a b d"},
		{"one on two", map[string][]string{"c": {"a"}, "d": {"a"}}, "b c d a"},
		{"three levels", map[string][]string{"c": {"b"}, "b": {"a"}}, "c b a d"},
		{"of a network that the Pod does not select", map[string][]string{"d": {"other"}}, "a b c d"},
		{"of itself", map[string][]string{"b": {"b"}}, ""},
		{"in a circle", map[string][]string{"a": {"b"}, "b": {"c"}, "c": {"a"}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var selected []SelectedNetwork
			for _, name := range strings.Fields("a b c d") {
				selected = append(selected, SelectedNetwork{
					Selection: network.Selection{Name: name, UpperLayers: tt.layers[name]},
					Network:   network.Network{Name: name, Namespace: "red", Plugin: "macvlan"},
				})
			}
			attachments, err := Pod(netconf.Conf{CNIVersion: "1.0.0"}, "eth0", selected)
			if tt.want == "" {
				if err == nil || !strings.Contains(err.Error(), "upperLayers") {
					t.Errorf("got %v, %v, want an error that names upperLayers", attachments, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, a := range attachments[1:] {
				got = append(got, a.Network)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
