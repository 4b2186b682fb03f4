package plan

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// testDefinitions are the NetworkAttachmentDefinitions of the namespace red, by name.
var testDefinitions = map[string]network.Network{
	"macvlan-a": {Config: `{"type": "macvlan", "capabilities": {"ips": true, "mac": true}}`},
	"chain": {Config: `{"plugins": [{"type": "bridge", "args": {"cni": {"a": 1, "b": 1}}},
		{"type": "portmap", "capabilities": {"portMappings": true, "bandwidth": true, "infinibandGUID": true,
			"ipam-claim-reference": true}}]}`},
	"plain":   {Config: `{"type": "macvlan"}`},
	"off":     {Config: `{"type": "macvlan", "capabilities": {"ips": false}}`},
	"itself":  {Config: `{"type": "kactus"}`},
	"on-disk": {Config: `{"type": "/bin/sh"}`, Source: "/etc/cni/net.d/50-on-disk.conf"},
}

// selectDefinitions returns what the annotations select, and the objects.
func selectDefinitions(t *testing.T, npwg, defaultNetwork string) []SelectedNetwork {
	t.Helper()
	selections, _, err := network.ParsePod(map[string]string{
		network.NPWGAnnotation: npwg, network.DefaultNetworkAnnotation: defaultNetwork,
	})
	if err != nil {
		t.Fatal(err)
	}
	var selected []SelectedNetwork
	for _, s := range selections {
		n := testDefinitions[s.Name]
		n.Name, n.Namespace, n.NPWG = s.Name, "red", true
		selected = append(selected, SelectedNetwork{Selection: s, Network: n})
	}
	return selected
}

func TestNPWG_PlansAttachments(t *testing.T) {
	const byDefault = `eth0 kactus-net flannel {"dns":1}`
	tests := []struct {
		name, npwg, defaultNetwork string
		want                       []string
	}{
		{"names, by position", "plain,macvlan-a@data,plain", "",
			[]string{byDefault, "net1 plain macvlan", "data macvlan-a macvlan", "net3 plain macvlan"}},
		{"a default network, with the runtime's runtimeConfig", "plain", "macvlan-a",
			[]string{`eth0 macvlan-a macvlan {"dns":1}`, "net1 plain macvlan"}},
		{"a default network on the interface that the runtime names", "", "macvlan-a@eth0",
			[]string{`eth0 macvlan-a macvlan {"dns":1}`}},
		{"requests, in runtimeConfig", `[{"name": "macvlan-a", "ips": ["10.0.0.1"], "mac": "02:00:00:00:00:01"}]`, "",
			[]string{byDefault, `net1 macvlan-a macvlan 02:00:00:00:00:01 [10.0.0.1] ` +
				`{"ips":["10.0.0.1"],"mac":"02:00:00:00:00:01"}`}},
		{"requests, as the CNI conventions have them", `[{"name": "chain",
			"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "TCP"}],
				"bandwidth": {"ingressRate": 1},
			"infiniband-guid": "24:8a:07:03:00:8d:ae:2f", "ipam-claim-reference": "vm.a"}]`, "",
			[]string{byDefault, `net1 chain bridge,portmap {"bandwidth":{"ingressRate":1,"ingressBurst":2147483647},` +
				`"infinibandGUID":"24:8a:07:03:00:8d:ae:2f","ipam-claim-reference":"vm.a",` +
				`"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]}`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conf := newConf(t, `[{"type": "flannel", "masterPlugin": true}]`)
			got, err := Pod(conf, "eth0", selectDefinitions(t, tt.npwg, tt.defaultNetwork))
			if err != nil {
				t.Fatal(err)
			}
			if lines := describe(got); !slices.Equal(lines, tt.want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(lines, "\n  "), strings.Join(tt.want, "\n  "))
			}
			for _, a := range got[1:] {
				if !a.NPWG || a.Namespace != "red" || a.Config.Name != a.Network {
					t.Errorf("got %+v", a)
				}
				if stdin, err := a.Config.Plugins[0].Stdin(nil); err != nil ||
					strings.Contains(string(stdin), "networkName") {
					t.Errorf("got %s, %v", stdin, err)
				}
			}
		})
	}
}

func TestNPWG_MergesArgs(t *testing.T) {
	conf := newConf(t, `[{"type": "flannel", "masterPlugin": true}]`)
	got, err := Pod(conf, "eth0", selectDefinitions(t, `[{"name": "chain", "cni-args": {"b": "pod", "c": [1]}}]`, ""))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{`{"a":1,"b":"pod","c":[1]}`, `{"b":"pod","c":[1]}`} {
		stdin, err := got[1].Config.Plugins[i].Stdin(nil)
		var config struct {
			Args struct{ CNI json.RawMessage }
		}
		if err == nil {
			err = json.Unmarshal(stdin, &config)
		}
		if err != nil || string(config.Args.CNI) != want {
			t.Errorf("plugin %d: got %s, %v, want %s", i, config.Args.CNI, err, want)
		}
	}
}

func TestNPWG_CapabilityNotDeclared(t *testing.T) {
	conf := newConf(t, `[{"type": "flannel", "masterPlugin": true}]`)
	tests := []struct{ name, npwg, defaultNetwork, want string }{
		{"ips", `[{"name": "plain", "ips": ["10.0.0.1"]}]`, "", "asks for ips"},
		{"ips, declared as false", `[{"name": "off", "ips": ["10.0.0.1"]}]`, "", "asks for ips"},
		{"mac", `[{"name": "plain", "mac": "02:00:00:00:00:01"}]`, "", "asks for mac"},
		{"portMappings", `[{"name": "plain", "portMappings": [{"hostPort": 1, "containerPort": 1}]}]`, "",
			"asks for portMappings"},
		{"bandwidth", `[{"name": "plain", "bandwidth": {"egressRate": 1}}]`, "", "asks for bandwidth"},
		{"infiniband-guid", `[{"name": "plain", "infiniband-guid": "24:8a:07:03:00:8d:ae:2f"}]`, "",
			"asks for infinibandGUID"},
		{"of the default network", "", `[{"name": "plain", "mac": "02:00:00:00:00:01"}]`, "asks for mac"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Pod(conf, "eth0", selectDefinitions(t, tt.npwg, tt.defaultNetwork))
			if !errors.Is(err, ErrNotDeclared) || !strings.Contains(err.Error(), tt.want) ||
				!strings.Contains(err.Error(), "plugins: macvlan") {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	t.Run("kactus's own annotation needs it for what kactus does not see to", func(t *testing.T) {
		own := `[{"name": "blue", "mac": "02:00:00:00:00:01", "ips": ["10.0.0.1"]}]`
		if _, err := Pod(conf, "eth0", selectNetworks(t, own)); err != nil {
			t.Error(err)
		}
		own = `[{"name": "blue", "bandwidth": {"egressRate": 1}}]`
		if _, err := Pod(conf, "eth0", selectNetworks(t, own)); !errors.Is(err, ErrNotDeclared) {
			t.Errorf("got %v", err)
		}
	})
}

func TestNPWG_Errors(t *testing.T) {
	conf := newConf(t, `[{"type": "flannel", "masterPlugin": true}, {"type": "ptp", "name": "every"}]`)
	tests := []struct{ name, npwg, defaultNetwork, want string }{
		{"the interface of the default network", "plain@eth0", "", "same interface name, eth0"},
		{"the interface of a network of the netconf", "plain@net83ab982dd084", "",
			"same interface name, net83ab982dd084"},
		{"a default network on another interface", "", "plain@eth1", "interface: eth1"},
		{"kactus itself", "itself", "", "kactus cannot be its own delegate"},
		{"a path, on disk", "on-disk", "", "red/on-disk: /etc/cni/net.d/50-on-disk.conf: type"},
		{"a path, in arguments", `[{"name": "plain", "cni-args": {"x": {"type": "../sh"}}}]`, "", "a path"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Pod(conf, "eth0", selectDefinitions(t, tt.npwg, tt.defaultNetwork))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %s, %v, want %q", describe(got), err, tt.want)
			}
		})
	}
}

func TestPod_SameNetworkOnTwoInterfaces(t *testing.T) {
	conf := newConf(t, `[{"type": "flannel", "masterPlugin": true}]`)
	got, err := Pod(conf, "eth0", selectNetworks(t, `[{"name": "blue"}, {"name": "blue", "interface": "data"}]`))
	want := []string{`eth0 kactus-net flannel {"dns":1}`, "net48d6215903df blue macvlan", "data blue macvlan"}
	if lines := describe(got); err != nil || !slices.Equal(lines, want) {
		t.Errorf("got %s, %v", lines, err)
	}
}

func TestSchedule_NPWG(t *testing.T) {
	conf := newConf(t, `[{"type": "flannel", "masterPlugin": true}]`)
	attachments, err := Pod(conf, "eth0", selectDefinitions(t, "plain,macvlan-a,off", ""))
	if err != nil {
		t.Fatal(err)
	}
	for parallel, want := range map[bool]string{false: "eth0 | plain | macvlan-a | off",
		true: "eth0 | plain macvlan-a off"} {
		if got := describeSchedule(attachments, Schedule(attachments, nil, parallel)); got != want {
			t.Errorf("npwgParallel %t: got %s, want %s", parallel, got, want)
		}
	}
}

func TestNamespaces_Global(t *testing.T) {
	conf := netconf.Conf{
		NetworkNamespace: "default", NamespaceIsolation: true, GlobalNamespaces: []string{"shared"},
		MultusNamespace: "kube-system",
	}
	tests := []struct {
		name string
		s    network.Selection
		want string
	}{
		{"a global one", network.Selection{Namespace: "shared"}, "shared"},
		{"a default network without one", network.Selection{NPWG: true, IsPrimary: true}, "kube-system red default"},
		{"a default network of another one", network.Selection{NPWG: true, IsPrimary: true, Namespace: "blue"}, ""},
		{"another one, of Multus", network.Selection{NPWG: true, Namespace: "kube-system"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Namespaces(conf, "red", tt.s)
			if strings.Join(got, " ") != tt.want || errors.Is(err, ErrIsolation) != (tt.want == "") {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}
