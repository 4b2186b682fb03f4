package agent

import (
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

func ofNPWG(a *ledger.Attachment) { a.NPWG = true }

// named returns an attachment to a NetworkAttachmentDefinition on that interface.
func named(name, ifName string, edit ...func(*ledger.Attachment)) ledger.Attachment {
	return attached(name, append(edit, ofNPWG, onInterface(ifName))...)
}

// describeNamed returns the steps as describe does, each with its interface.
func describeNamed(steps []Step) string {
	var all []string
	for _, s := range steps {
		all = append(all, describe([]Step{s})+" on "+s.IfName)
	}
	return strings.Join(all, "; ")
}

func TestCompare_NPWG(t *testing.T) {
	a1, b2 := named("a", "net1"), named("b", "net2")
	tests := []struct {
		name, annotation string
		attached         []ledger.Attachment
		foreign          []string
		want             string
	}{
		{"as it is", "a,b", []ledger.Attachment{a1, b2}, nil, ""},
		{"in another order", "b,a", []ledger.Attachment{a1, b2}, nil, ""},
		{"added", "a,b", []ledger.Attachment{a1}, nil, "ADD b added on net2"},
		{"the first removed", "b", []ledger.Attachment{a1, b2}, nil, "DEL a removed on net1"},
		{"the lowest free number", "b,c", []ledger.Attachment{b2}, nil, "ADD c added on net1"},
		{"a number that becomes free", "c,b", []ledger.Attachment{a1, b2}, nil,
			"DEL a removed on net1; ADD c added on net1"},
		{"a number that the Pod itself has taken", "a,c", []ledger.Attachment{a1}, []string{"lo", "eth0", "net2"},
			"ADD c added on net3"},
		{"numbers that are asked for", "d@net1,b,c", []ledger.Attachment{b2}, nil,
			"ADD d added on net1; ADD c added on net3"},
		{"the same network twice", "a,a", nil, nil, "ADD a added on net1; ADD a added on net2"},
		{"one of two removed", "a", []ledger.Attachment{a1, named("a", "net2")}, nil, "DEL a removed on net2"},
		{"the right one of two removed", `[{"name": "a", "ips": ["10.7.0.6"]}]`,
			[]ledger.Attachment{a1, named("a", "net2", withResultIP("10.7.0.6/24"), withIPs("10.7.0.6"))}, nil,
			"DEL a removed on net1"},
		{"an interface, as KubeVirt asks for it", `[{"name": "a", "namespace": "tenant",
			"mac": "0a:00:00:00:00:01", "interface": "pod1a2b3c4d5e6"}]`, nil, nil, "ADD a added on pod1a2b3c4d5e6"},
		{"an interface that is renamed", "a@data", []ledger.Attachment{a1}, nil,
			"DEL a removed on net1; ADD a added on data"},
		{"an interface that is no longer asked for", "a", []ledger.Attachment{named("a", "data")}, nil,
			"DEL a removed on data; ADD a added on net1"},
		{"other addresses", `[{"name": "a", "ips": ["10.7.0.6"]}]`, []ledger.Attachment{a1}, nil,
			"DEL a changed: addresses on net1; ADD a changed: addresses on net1"},
		{"other requests", `[{"name": "a", "cni-args": {"x": 1}}]`, []ledger.Attachment{a1}, nil,
			"DEL a changed: requests on net1; ADD a changed: requests on net1"},
		{"another namespace", "other/a", []ledger.Attachment{a1}, nil,
			"DEL a changed: namespace on net1; ADD a changed: namespace on net1"},
		{"half made", "a", []ledger.Attachment{named("a", "net1", planned)}, nil, "ADD a half made on net1"},
		{"a Network of that name", "green", []ledger.Attachment{attached("green")}, nil,
			"DEL green removed on net9f27410725ab; ADD green added on net1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			selections, _, err := network.ParseNPWG(tt.annotation)
			if err != nil {
				t.Fatal(err)
			}
			record := ledger.Record{IfName: "eth0", Attachments: append(ofNetconf(), tt.attached...)}
			steps, err := Compare(selections, record, newConf(t, ""), "tenant", Seen{Foreign: tt.foreign})
			if got := describeNamed(steps); err != nil || got != tt.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, tt.want)
			}
		})
	}
}

func withResultIP(ip string) func(*ledger.Attachment) {
	return func(a *ledger.Attachment) {
		a.Result = []byte(strings.ReplaceAll(string(a.Result), "10.7.0.5/24", ip))
	}
}

func TestCompare_SameNetworkOnTwoInterfaces(t *testing.T) {
	both := []ledger.Attachment{attached("green"), attached("green", onInterface("data"))}
	for _, tt := range []struct {
		name, annotation string
		attached         []ledger.Attachment
		want             string
	}{
		{"as it is", `[{"name": "green", "interface": "data"}, {"name": "green"}]`, both, ""},
		{"one added", `[{"name": "green"}, {"name": "green", "interface": "data"}]`, both[:1],
			"ADD green added on data"},
		{"the other added", `[{"name": "green", "interface": "data"}, {"name": "green"}]`, both[1:],
			"ADD green added on net9f27410725ab"},
		{"one removed", `[{"name": "green", "interface": "data"}]`, both, "DEL green removed on net9f27410725ab"},
		{"the other removed", `[{"name": "green"}]`, both, "DEL green removed on data"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			record := ledger.Record{IfName: "eth0", Attachments: append(ofNetconf(), tt.attached...)}
			steps, err := Compare(parse(t, tt.annotation), record, newConf(t, ""), "tenant", Seen{})
			if got := describeNamed(steps); err != nil || got != tt.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, tt.want)
			}
		})
	}
}

func TestCompare_DefaultNetworkStays(t *testing.T) {
	onEth0 := func(name string) ledger.Attachment { return named(name, "eth0", inNamespace("infra")) }
	a1 := named("a", "net1")
	for _, tt := range []struct {
		name, networks, defaultNetwork string
		attached                       []ledger.Attachment
		want                           string
	}{
		{"as it is", "a", "infra/calico", []ledger.Attachment{onEth0("calico"), a1}, ""},
		{"no longer named", "a", "", []ledger.Attachment{onEth0("calico"), a1}, ""},
		{"another one", "a", "b", []ledger.Attachment{onEth0("calico"), a1}, ""},
		{"the network of another interface, too", "a", "infra/a", []ledger.Attachment{onEth0("a"), a1}, ""},
		{"named now, and attached elsewhere", "a", "a", append(ofNetconf(), a1), ""},
		{"named now, and attached elsewhere twice", "a,a", "a", append(ofNetconf(), a1, named("a", "net2")), ""},
		{"named now alone", "", "a", append(ofNetconf(), a1), "DEL a removed on net1"},
		{"added elsewhere", "a", "a", []ledger.Attachment{onEth0("a")}, "ADD a added on net1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			selections, _, err := network.ParsePod(map[string]string{
				network.NPWGAnnotation: tt.networks, network.DefaultNetworkAnnotation: tt.defaultNetwork,
			})
			if err != nil {
				t.Fatal(err)
			}
			record := ledger.Record{IfName: "eth0", Attachments: tt.attached}
			steps, err := Compare(selections, record, newConf(t, ""), "tenant", Seen{})
			if got := describeNamed(steps); err != nil || got != tt.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, tt.want)
			}
		})
	}
}
