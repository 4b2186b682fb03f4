package agent

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
)

const (
	firstMAC  = "0a:00:00:00:00:01"
	secondMAC = "0a:00:00:00:00:02"
)

// newConf returns a netconf with a delegate, every, beside the master delegate.
func newConf(t *testing.T, keys string) netconf.Conf {
	t.Helper()
	conf, err := netconf.Parse([]byte(`{"cniVersion": "1.0.0", "name": "kactus-net", ` + keys + `"delegates":
		[{"type": "ptp", "masterPlugin": true}, {"type": "bridge", "name": "every"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

func parse(t *testing.T, annotation string) []network.Selection {
	t.Helper()
	selections, err := network.ParseSelections(annotation)
	if err != nil {
		t.Fatal(err)
	}
	return selections
}

// attached returns an attachment to that network, of the namespace tenant, with addresses of the
// delegate's choice, as changed by edit.
func attached(name string, edit ...func(*ledger.Attachment)) ledger.Attachment {
	a := ledger.Attachment{
		Attachment: plan.Attachment{Network: name, Namespace: "tenant", IfName: network.DeviceName(name)},
		State:      ledger.Attached,
	}
	a.Result = json.RawMessage(`{"cniVersion": "1.0.0", "ips": [{"address": "10.7.0.5/24"}],
		"interfaces": [{"name": "` + a.IfName + `", "mac": "0A:00:00:00:00:01", "sandbox": "/n"}]}`)
	for _, e := range edit {
		e(&a)
	}
	return a
}

func inNamespace(namespace string) func(*ledger.Attachment) {
	return func(a *ledger.Attachment) { a.Namespace = namespace }
}

func onInterface(ifName string) func(*ledger.Attachment) {
	return func(a *ledger.Attachment) { a.IfName = ifName }
}

func withMAC(mac network.MAC) func(*ledger.Attachment) {
	return func(a *ledger.Attachment) { a.MAC = mac }
}

func withIPs(ips ...string) func(*ledger.Attachment) {
	return func(a *ledger.Attachment) { a.IPs = ips }
}

func skipped(a *ledger.Attachment) { a.PodagentSkip = true }

func planned(a *ledger.Attachment) { a.State, a.Result = ledger.Planned, nil }

func failing(a *ledger.Attachment) { a.Failures = 1 }

func ofPredecessor(a *ledger.Attachment) { a.Namespace, a.Result = "default", nil }

// ofNetconf returns the attachments of the netconf's own delegates.
func ofNetconf() []ledger.Attachment {
	return []ledger.Attachment{
		attached("kactus-net", inNamespace(""), onInterface("eth0")), attached("every", inNamespace("")),
	}
}

// describe returns, for each step, "OPERATION NETWORK REASON: CHANGE, CHANGE".
func describe(steps []Step) string {
	var all []string
	for _, s := range steps {
		text := string(s.Operation) + " " + s.Selection.Name + " " + string(s.Reason)
		for i, c := range s.Changes {
			text += []string{": ", ", "}[min(i, 1)] + string(c)
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

type compareTest struct {
	name, annotation string
	attached         []ledger.Attachment // beside those of the netconf
	want             string              // as describe returns it
}

func runCompare(t *testing.T, tests []compareTest) {
	t.Helper()
	conf := newConf(t, "")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			record := ledger.Record{IfName: "eth0", Attachments: append(ofNetconf(), tt.attached...)}
			steps, err := Compare(parse(t, tt.annotation), record, conf, "tenant", Seen{})
			if err != nil {
				t.Fatal(err)
			}
			if got := describe(steps); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestCompare_AddsAndRemoves(t *testing.T) {
	green, blue, red := attached("green"), attached("blue"), attached("red")
	runCompare(t, []compareTest{
		{"no annotation, and no networks", ``, nil, ""},
		{"as it is, in another order", `[{"name": "blue"}, {"name": "green"}]`, []ledger.Attachment{green, blue}, ""},
		{"added, to none", `[{"name": "green"}]`, nil, "ADD green added"},
		{"added, in the annotation's order", `[{"name": "red"}, {"name": "green"}, {"name": "blue"}]`,
			[]ledger.Attachment{green}, "ADD red added; ADD blue added"},
		{"added, after what they are the upper layers of", `[{"name": "red"}, {"name": "blue"},
			{"name": "green", "upperLayers": ["red"]}]`, nil, "ADD blue added; ADD green added; ADD red added"},
		{"removed, in reverse order", `[]`, []ledger.Attachment{green, blue, red},
			"DEL red removed; DEL blue removed; DEL green removed"},
		{"all DELs first", `[{"name": "data"}, {"name": "green", "namespace": "infra"}]`,
			[]ledger.Attachment{green, blue},
			"DEL blue removed; DEL green changed: namespace; ADD data added; ADD green changed: namespace"},
		{"one for another of the same interface name", `[{"name": "n-ee6b99c6809e"}]`,
			[]ledger.Attachment{attached("n-009b5fbe0257")}, "DEL n-009b5fbe0257 removed; ADD n-ee6b99c6809e added"},
		{"upper layers that change nothing", `[{"name": "green", "upperLayers": ["blue"]}, {"name": "blue"}]`,
			[]ledger.Attachment{blue, green}, ""},
	})
}

func TestCompare_Changes(t *testing.T) {
	const mac = "MAC address"
	changed := func(what string) string { return "DEL green changed: " + what + "; ADD green changed: " + what }
	tests := []struct {
		name, selection string // the keys beside the name
		attached        ledger.Attachment
		changes         string // none if empty
	}{
		{"the Pod's own namespace, selected by name", `"namespace": "tenant"`, attached("green"), ""},
		{"the netconf's namespace, which no selection names", ``, attached("green", inNamespace("default")), ""},
		{"the netconf's namespace, where the Pod's own is selected", `"namespace": "tenant"`,
			attached("green", inNamespace("default")), "namespace"},
		{"another namespace", `"namespace": "infra"`, attached("green"), "namespace"},
		{"a namespace in which the selection does not look", ``, attached("green", inNamespace("infra")), "namespace"},
		{"another interface name", ``, attached("green", onInterface("net1")), "interface name"},
		{"the same MAC address", `"ifMac": "0A-00-00-00-00-02"`, attached("green", withMAC(secondMAC)), ""},
		{"a MAC address that the delegate chose", `"ifMac": "` + firstMAC + `"`, attached("green"), ""},
		{"a MAC address for the first time", `"ifMac": "` + secondMAC + `"`, attached("green"), mac},
		{"another MAC address", `"ifMac": "` + secondMAC + `"`, attached("green", withMAC(firstMAC)), mac},
		{"no MAC address anymore", ``, attached("green", withMAC(firstMAC)), mac},
		{"the same addresses, in another order and spelling", `"ips": ["fd00:0::5", "10.7.0.6/24"]`,
			attached("green", withIPs("10.7.0.6/24", "fd00::5/64")), ""},
		{"an address that the delegate chose", `"ips": ["10.7.0.5/24"]`, attached("green"), ""},
		{"an address for the first time", `"ips": ["10.7.0.6/24"]`, attached("green"), "addresses"},
		{"another address", `"ips": ["10.7.0.7/24"]`, attached("green", withIPs("10.7.0.6/24")), "addresses"},
		{"another prefix length", `"ips": ["10.7.0.6/16"]`, attached("green", withIPs("10.7.0.6/24")), "addresses"},
		{"an address more", `"ips": ["10.7.0.6/24", "10.7.0.7/24"]`, attached("green", withIPs("10.7.0.6/24")),
			"addresses"},
		{"an address less", `"ips": ["10.7.0.6/24"]`, attached("green", withIPs("10.7.0.6/24", "10.7.0.7/24")),
			"addresses"},
		{"no addresses anymore", ``, attached("green", withIPs("10.7.0.6/24")), "addresses"},
		{"all at once", `"namespace": "infra", "ifMac": "` + secondMAC + `", "ips": ["10.7.0.6/24"]`,
			attached("green", onInterface("net1")), "namespace, interface name, MAC address, addresses"},
	}
	var all []compareTest
	for _, tt := range tests {
		annotation, want := `[{"name": "green"}]`, ""
		if tt.selection != "" {
			annotation = `[{"name": "green", ` + tt.selection + `}]`
		}
		if tt.changes != "" {
			want = changed(tt.changes)
		}
		all = append(all, compareTest{tt.name, annotation, []ledger.Attachment{tt.attached}, want})
	}
	runCompare(t, all)
}

func TestCompare_HalfMade(t *testing.T) {
	runCompare(t, []compareTest{
		{"planned, and wanted", `[{"name": "green"}]`, []ledger.Attachment{attached("green", planned)},
			"ADD green half made"},
		{"failing, and wanted", `[{"name": "green"}]`, []ledger.Attachment{attached("green", failing)},
			"ADD green half made"},
		{"wanted otherwise", `[{"name": "green", "namespace": "infra", "ifMac": "` + secondMAC + `"}]`,
			[]ledger.Attachment{attached("green", planned)}, "ADD green half made"},
		{"planned, and not wanted", ``, []ledger.Attachment{attached("green", planned)}, "DEL green removed"},
		{"failing, and not wanted", ``, []ledger.Attachment{attached("green", failing)}, "DEL green removed"},
	})
}

// Whatever is wrong with them, or asked of them, these stay as they are.
func TestCompare_LeavesAlone(t *testing.T) {
	const otherwise = `"namespace": "infra", "ifMac": "` + secondMAC + `", "ips": ["10.7.0.9/24"]`
	primary := func(edit ...func(*ledger.Attachment)) []ledger.Attachment {
		return []ledger.Attachment{attached("green", append(edit, onInterface("eth0"))...)}
	}
	green := []ledger.Attachment{attached("green")}
	skip := []ledger.Attachment{attached("green", skipped)}
	runCompare(t, []compareTest{
		{"the netconf's own delegates", ``, nil, ""},
		{"a primary network", `[{"name": "green", "isPrimary": true}]`, primary(), ""},
		{"a primary network that changed", `[{"name": "green", "isPrimary": true, ` + otherwise + `}]`, primary(), ""},
		{"a primary network that is removed", `[]`, primary(), ""},
		{"a primary network that is half made", `[{"name": "green", "isPrimary": true}]`, primary(failing), ""},
		{"a primary network that is to be one among others", `[{"name": "green", ` + otherwise + `}]`, primary(), ""},
		{"a primary network that is added", `[{"name": "green", "isPrimary": true}]`, nil, ""},
		{"a network that is to be the primary", `[{"name": "green", "isPrimary": true, ` + otherwise + `}]`, green, ""},
		{"podagentSkip, added", `[{"name": "green", "podagentSkip": true}]`, nil, ""},
		{"podagentSkip, changed", `[{"name": "green", "podagentSkip": true, ` + otherwise + `}]`, skip, ""},
		{"podagentSkip, removed", ``, skip, ""},
		{"podagentSkip, half made", `[{"name": "green", "podagentSkip": true}]`,
			[]ledger.Attachment{attached("green", skipped, planned)}, ""},
		{"podagentSkip at the ADD alone", `[{"name": "green", ` + otherwise + `}]`, skip, ""},
		{"podagentSkip now alone", `[{"name": "green", "podagentSkip": true, ` + otherwise + `}]`, green, ""},
	})
	t.Run("but adds a network that has the name of the master delegate", func(t *testing.T) {
		runCompare(t, []compareTest{{"", `[{"name": "kactus-net"}]`, nil, "ADD kactus-net added"}})
	})
}

func TestCompare_OwnDelegates(t *testing.T) {
	conf := newConf(t, "")
	for _, tt := range []struct {
		name, annotation string
		attached         ledger.Attachment
	}{
		{"half made", ``, attached("every", inNamespace(""), planned)},
		{"that the predecessor recorded as a Network", ``, attached("every", ofPredecessor)},
		{"that the netconf had once", ``, attached("once", inNamespace(""))},
		{"that the netconf had once, now selected", `[{"name": "once"}]`, attached("once", inNamespace(""))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			record := ledger.Record{IfName: "eth0", Attachments: []ledger.Attachment{tt.attached}}
			steps, err := Compare(parse(t, tt.annotation), record, conf, "tenant", Seen{})
			if err != nil || len(steps) != 0 {
				t.Errorf("got %s, %v", describe(steps), err)
			}
		})
	}
}

func TestCompare_DefaultNetworkOfAnInvalidNetconf(t *testing.T) {
	record := ledger.Record{IfName: "eth0", Attachments: []ledger.Attachment{attached("green", onInterface("eth0"))}}
	if steps, err := Compare(nil, record, netconf.Conf{}, "tenant", Seen{}); err != nil || len(steps) != 0 {
		t.Errorf("got %s, %v", describe(steps), err)
	}
}

// The predecessor recorded neither requests nor results, and all Networks as of one namespace.
func TestCompare_UnknownIsUnchanged(t *testing.T) {
	unreadable := func(a *ledger.Attachment) { a.Result = json.RawMessage(`{"cniVersion": "9.0.0"}`) }
	old := []ledger.Attachment{attached("green", ofPredecessor)}
	runCompare(t, []compareTest{
		{"whatever is selected", `[{"name": "green", "namespace": "infra", "ifMac": "` + secondMAC + `",
			"ips": ["10.7.0.9/24"]}]`, old, ""},
		{"by the network's name", `[{"name": "blue"}]`, old, "DEL green removed; ADD blue added"},
		{"but half made", `[{"name": "green"}]`, []ledger.Attachment{attached("green", ofPredecessor, failing)},
			"ADD green half made"},
		{"a result that cannot be read", `[{"name": "green", "ips": ["10.7.0.9/24"]}]`,
			[]ledger.Attachment{attached("green", unreadable)}, ""},
	})
}

func TestCompare_OnlyHotNetworksInTheRecord(t *testing.T) {
	record := ledger.Record{Attachments: []ledger.Attachment{attached("green")}}
	steps, err := Compare(parse(t, `[{"name": "blue"}, {"name": "red", "isPrimary": true}]`), record, newConf(t, ""),
		"tenant", Seen{})
	if got := describe(steps); err != nil || got != "DEL green removed; ADD blue added" {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestCompare_PassesOverOrphans(t *testing.T) {
	record := ledger.Record{IfName: "eth0", Attachments: ofNetconf(),
		Orphans: []ledger.Attachment{attached("green", failing), attached("blue", failing)}}
	steps, err := Compare(parse(t, `[{"name": "green"}]`), record, newConf(t, ""), "tenant", Seen{})
	if got := describe(steps); err != nil || got != "ADD green added" {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestCompare_Errors(t *testing.T) {
	tests := []struct {
		name       string
		selections []network.Selection
		want       string
	}{
		{"a network in two namespaces",
			[]network.Selection{{Name: "green", Namespace: "a"}, {Name: "green", Namespace: "b"}},
			"the network green is requested twice by the Pod"},
		{"two networks of one interface name", []network.Selection{{Name: "n-009b5fbe0257"}, {Name: "n-ee6b99c6809e"}},
			"the networks n-009b5fbe0257 and n-ee6b99c6809e have the same interface name, netc78e9611f93e"},
		{"a network of the netconf", []network.Selection{{Name: "every"}}, "by the netconf, for every Pod"},
		{"upper layers in a circle", []network.Selection{{Name: "green", UpperLayers: []string{"green"}}},
			"upperLayers"},
		{"a namespace that is isolated", []network.Selection{{Name: "green", Namespace: "infra"}},
			plan.ErrIsolation.Error()},
	}
	record := ledger.Record{IfName: "eth0", Attachments: append(ofNetconf(), attached("red"))}
	conf := newConf(t, `"namespaceIsolation": true, `)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			steps, err := Compare(append(tt.selections, network.Selection{Name: "blue"}), record, conf, "tenant",
				Seen{})
			if err == nil || !strings.Contains(err.Error(), tt.want) || steps != nil {
				t.Errorf("got %s, %v", describe(steps), err)
			}
		})
	}
}

func TestCompare_StepsHaveTheWholeSelection(t *testing.T) {
	selections := parse(t, `[{"name": "green", "namespace": "infra", "ifMac": "`+secondMAC+`",
		"ips": ["10.7.0.9/24"], "upperLayers": ["blue"]}]`)
	record := ledger.Record{IfName: "eth0", Attachments: []ledger.Attachment{
		attached("green", withMAC(firstMAC), withIPs("10.7.0.8/24")),
	}}
	steps, err := Compare(selections, record, newConf(t, ""), "tenant", Seen{})
	if err != nil {
		t.Fatal(err)
	}
	changes := []Change{Namespace, MACAddress, Addresses}
	want := []Step{
		{Del, network.Selection{Name: "green", Namespace: "tenant",
			Requests: network.Requests{MAC: firstMAC, IPs: []string{"10.7.0.8/24"}}},
			network.DeviceName("green"), Changed, changes},
		{Add, selections[0], network.DeviceName("green"), Changed, changes},
	}
	if !slices.EqualFunc(steps, want, func(a, b Step) bool { return reflect.DeepEqual(a, b) }) {
		t.Errorf("got  %+v\nwant %+v", steps, want)
	}
}

func TestStep_String(t *testing.T) {
	step := Step{Del, network.Selection{Name: "green"}, "net9f27410725ab", Changed, []Change{Namespace, MACAddress}}
	if got := step.String(); got != "hot DEL of the network green (net9f27410725ab): changed: namespace, MAC address" {
		t.Errorf("got %s", got)
	}
	step = Step{Add, network.Selection{Name: "green"}, "net9f27410725ab", HalfMade, nil}
	if got := step.String(); got != "hot ADD of the network green (net9f27410725ab): half made" {
		t.Errorf("got %s", got)
	}
}
