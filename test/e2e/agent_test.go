package e2e

import (
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

const (
	green = kactustest.GreenIfName
	blue  = kactustest.BlueIfName
	data  = kactustest.DataIfName
)

// noAnnotation stands for a Pod without the annotation.
const noAnnotation = "none"

// newRunningPod returns a Pod that had its ADD.
func newRunningPod(t *testing.T, tn *kactustest.Tenant, networks string) *kactustest.Pod {
	t.Helper()
	var annotations map[string]string
	if networks != noAnnotation {
		annotations = map[string]string{"networks": networks}
	}
	p := tn.NewAnnotatedPod(t, annotations)
	p.Add(t)
	return p
}

func TestAgent_Edits(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "blue", "data")
	tn.StartNodeAgent(t)
	tests := []struct {
		name          string
		before, after string
		want          []string
		kept          []string
		condition     string
	}{
		{"a network of a Pod that has none is added", noAnnotation, `[{"name":"green"}]`,
			[]string{"eth0", green}, []string{"eth0"}, "1 network is attached"},
		{"a network is added beside one of the start", `[{"name":"green"}]`, `[{"name":"green"},{"name":"data"}]`,
			[]string{"eth0", green, data}, []string{"eth0", green}, "2 networks are attached"},
		{"a network of the start is removed", `[{"name":"green"},{"name":"blue"}]`, `[{"name":"blue"}]`,
			[]string{"eth0", blue}, []string{"eth0", blue}, "1 network is attached"},
		{"one edit adds and removes", `[{"name":"green"},{"name":"blue"}]`, `[{"name":"data"},{"name":"blue"}]`,
			[]string{"eth0", data, blue}, []string{"eth0", blue}, "2 networks are attached"},
		{"an annotation that is removed whole removes all", `[{"name":"green"},{"name":"blue"}]`, noAnnotation,
			[]string{"eth0"}, []string{"eth0"}, "no networks are requested"},
		{"an empty annotation removes all", `[{"name":"green"}]`, ``,
			[]string{"eth0"}, []string{"eth0"}, "no networks are requested"},
		{"an empty list removes all", `[{"name":"green"}]`, `[]`,
			[]string{"eth0"}, []string{"eth0"}, "no networks are requested"},
		{"another order changes nothing", `[{"name":"green"},{"name":"blue"}]`,
			`[{"name":"blue"},{"name":"green"},{"name":"data"}]`,
			[]string{"eth0", green, blue, data}, []string{"eth0", green, blue}, "3 networks are attached"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newRunningPod(t, tn, test.before)
			if test.before != noAnnotation {
				p.EventuallyCondition(t, "True", "Attached")
			}
			before := p.Indices(t)
			if test.after == noAnnotation {
				p.Unannotate(t)
			} else {
				p.Annotate(t, test.after)
			}
			p.EventuallyAttached(t, test.want...)
			p.ExpectKept(t, before, test.kept...)
			kactustest.Eventually(t, "the condition says "+test.condition, func() bool {
				c := p.NetworksAttached(t)
				return c.Status == "True" && c.Reason == "Attached" && c.Message == test.condition
			})
			p.Del(t)
			p.ExpectGone(t)
		})
	}
}

func TestAgent_TellsEvents(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "data")
	tn.StartNodeAgent(t)
	p := newRunningPod(t, tn, `[{"name":"green"}]`)
	p.Annotate(t, `[{"name":"data"}]`)
	added := p.EventuallyEvent(t, "AddedInterface", "data", data)
	removed := p.EventuallyEvent(t, "RemovedInterface", "green", green)
	if added.Type != "Normal" || added.Action != "AddInterface" ||
		removed.Type != "Normal" || removed.Action != "RemoveInterface" {
		t.Errorf("events: %+v, %+v", added, removed)
	}
	if n := len(p.Events(t)); n != 2 {
		t.Errorf("%d events; want 2", n)
	}
}

func TestAgent_ChangedMAC(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "blue")
	tn.StartNodeAgent(t)
	first, second := tn.UniqueMAC(1), tn.UniqueMAC(2)
	with := func(mac string) string { return `[{"name":"green","ifMac":"` + mac + `"},{"name":"blue"}]` }
	p := newRunningPod(t, tn, with(first))
	before := p.Indices(t)
	p.Annotate(t, with(second))
	p.EventuallyEvent(t, "AddedInterface", green, "changed: MAC address")
	p.EventuallyAttached(t, "eth0", green, blue)
	if got := p.MAC(t, green); got != second {
		t.Errorf("MAC address %s; want %s", got, second)
	}
	p.ExpectKept(t, before, "eth0", blue)
	tn.ExpectLeases(t, "green", 1)
	p.Del(t)
	p.ExpectGone(t)
}

func TestAgent_ChangedAddresses(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateNetwork(t, "green", `{"type": "macvlan", "master": "`+node.Uplink+
		`", "capabilities": {"ips": true}, "ipam": {"type": "static"}}`)
	tn.StartNodeAgent(t)
	with := func(address string) string { return `[{"name":"green","ips":["` + address + `"]}]` }
	p := newRunningPod(t, tn, with("192.168.43.10/24"))
	kactustest.ExpectSame(t, "addresses", p.Addrs(t, green), []string{"192.168.43.10/24"})
	p.Annotate(t, with("192.168.43.11/24"))
	p.EventuallyEvent(t, "AddedInterface", green, "changed: addresses")
	p.EventuallyAttached(t, "eth0", green)
	kactustest.ExpectSame(t, "addresses", p.Addrs(t, green), []string{"192.168.43.11/24"})
	p.Del(t)
	p.ExpectGone(t)
}

func TestAgent_SameNameInAnotherNamespace(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	infra := tn.NewNamespace(t, "infra")
	kactustest.Create(t, kactustest.NetworksPath(infra),
		kactustest.NetworkObject("green", kactustest.NetworkSpec{Config: "{" + tn.BridgeConfig(t, "infra") + "}"}))
	tn.StartNodeAgent(t)
	p := newRunningPod(t, tn, `[{"name":"green"}]`)
	before := p.Addr(t, green)
	p.Annotate(t, `[{"name":"green","namespace":"`+infra+`"}]`)
	p.EventuallyEvent(t, "AddedInterface", green, "changed: namespace")
	p.EventuallyAttached(t, "eth0", green)
	if after := p.Addr(t, green); after == before {
		t.Errorf("green has the address %s, as in the other namespace", after)
	}
	tn.ExpectLeases(t, "green", 1)
	p.Del(t)
	p.ExpectGone(t)
}

// The edits after the first one are all that can be done to such elements. Each edit also changes
// data, which shows that the agent has compared it.
func TestAgent_LeavesPrimaryAndSkippedAlone(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "blue", "data", "red")
	tn.StartNodeAgent(t)
	p := newRunningPod(t, tn, `[{"name":"green","isPrimary":true},{"name":"blue","podagentSkip":true}]`)
	before := p.Indices(t)
	edits := []struct {
		name, networks string
		want           []string
	}{
		{"as they were", `[{"name":"green","isPrimary":true},{"name":"blue","podagentSkip":true},{"name":"data"}]`,
			[]string{"eth0", blue, data}},
		{"changed", `[{"name":"green","isPrimary":true,"ifMac":"` + tn.UniqueMAC(1) +
			`"},{"name":"blue","podagentSkip":true,"ifMac":"` + tn.UniqueMAC(2) + `"}]`, []string{"eth0", blue}},
		{"removed", `[{"name":"data"}]`, []string{"eth0", blue, data}},
		{"added", `[{"name":"red","podagentSkip":true}]`, []string{"eth0", blue}},
		{"another primary one", `[{"name":"red","isPrimary":true},{"name":"data"}]`, []string{"eth0", blue, data}},
	}
	for _, edit := range edits {
		t.Run(edit.name, func(t *testing.T) {
			p.Annotate(t, edit.networks)
			p.EventuallyAttached(t, edit.want...)
			p.ExpectKept(t, before, "eth0", blue)
		})
	}
	p.Del(t)
	p.ExpectGone(t)
}

func TestAgent_BrokenAnnotation(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "data")
	tn.StartNodeAgent(t)
	for _, test := range []struct{ name, networks, word string }{
		{"is not JSON", `[{"name":"data"`, "networks"},
		{"has an unknown key", `[{"name":"data","color":"red"}]`, "color"},
		{"has a network twice", `[{"name":"data"},{"name":"data"}]`, "data"},
		{"has interface names that collide", `[{"name":"n-009b5fbe0257"},{"name":"n-ee6b99c6809e"}]`, "n-ee6b99c6809e"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newRunningPod(t, tn, `[{"name":"green"}]`)
			before := p.Indices(t)
			p.Annotate(t, test.networks)
			p.EventuallyCondition(t, "False", "InvalidAnnotation")
			p.EventuallyEvent(t, "FailedAddingInterface", "annotation networks", test.word)
			p.ExpectInterfaces(t, "eth0", green)
			p.ExpectKept(t, before, "eth0", green)
			p.Annotate(t, `[{"name":"data"}]`)
			p.EventuallyAttached(t, "eth0", data)
			p.EventuallyCondition(t, "True", "Attached")
			p.Del(t)
			p.ExpectGone(t)
		})
	}
}

func TestAgent_NamespaceIsolation(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	shared, other := tn.NewNamespace(t, "shared"), tn.NewNamespace(t, "other")
	tn.Conf.NamespaceIsolation, tn.Conf.NetworkNamespace = true, shared
	tn.CreateBridgeNetworks(t, "green")
	for _, namespace := range []string{shared, other} {
		kactustest.Create(t, kactustest.NetworksPath(namespace),
			kactustest.NetworkObject("data", kactustest.NetworkSpec{Config: "{" + tn.BridgeConfig(t, "data") + "}"}))
	}
	tn.StartNodeAgent(t)
	p := newRunningPod(t, tn, noAnnotation)
	p.Annotate(t, `[{"name":"green"},{"name":"data","namespace":"`+other+`"}]`)
	c := p.EventuallyCondition(t, "False", "InvalidAnnotation")
	expectWords(t, c.Message, "data", other)
	p.ExpectInterfaces(t, "eth0")
	p.Annotate(t, `[{"name":"green"},{"name":"data","namespace":"`+shared+`"}]`)
	p.EventuallyAttached(t, "eth0", green, data)
	p.EventuallyCondition(t, "True", "Attached")
	p.Del(t)
	p.ExpectGone(t)
}
