package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// newRunningNPWGPod returns a Pod that was written for Multus and had its ADD.
func newRunningNPWGPod(t *testing.T, tn *kactustest.Tenant, networks string) *kactustest.Pod {
	t.Helper()
	p := tn.NewNPWGPod(t, networks)
	p.Add(t)
	return p
}

// What runs virtual machines writes such elements, and goes by the network-status: an interface is
// ready when it has an entry, and gone when it has none.
func TestAgent_NPWGHotPlug(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNADs(t, "net-b")
	tn.CreateNAD(t, "net-a", `{"cniVersion": "1.0.0", "plugins": [{`+tn.BridgeConfig(t, "net-a")+
		`}, {"type": "tuning", "capabilities": {"mac": true}}]}`)
	tn.StartNodeAgent(t)
	element := func(name, mac, ifName string) string {
		return fmt.Sprintf(`{"name":%q,"namespace":%q,"mac":%q,"interface":%q,"cni-args":{"vm":"x"}}`,
			name, tn.Namespace, mac, ifName)
	}
	start := element("net-a", tn.UniqueMAC(1), "poda1b2c3d4e5f")
	plugged := element("net-a", tn.UniqueMAC(2), "pod1a2b3c4d5e6")
	p := newRunningNPWGPod(t, tn, "["+start+"]")
	before := p.Indices(t)
	p.EventuallyNetworkStatus(t, "eth0", "poda1b2c3d4e5f")

	p.AnnotateNPWG(t, "["+start+","+plugged+"]")
	entry := p.EventuallyNetworkStatus(t, "eth0", "poda1b2c3d4e5f", "pod1a2b3c4d5e6")[2]
	if entry.Name != tn.Namespace+"/net-a" || entry.Mac != tn.UniqueMAC(2) || len(entry.IPs) != 1 || entry.Default {
		t.Errorf("got the entry %+v", entry)
	}
	p.ExpectInterfaces(t, "eth0", "poda1b2c3d4e5f", "pod1a2b3c4d5e6")
	p.EventuallyEvent(t, "AddedInterface", "net-a", "pod1a2b3c4d5e6")
	if got := p.MAC(t, "pod1a2b3c4d5e6"); got != tn.UniqueMAC(2) {
		t.Errorf("MAC address %s; want %s", got, tn.UniqueMAC(2))
	}
	tn.ExpectLeases(t, "net-a", 2)
	p.EventuallyCondition(t, "True", "Attached")
	kactustest.Must(t, p.CheckWith(t, p.Conf, p.Runtime()))

	p.AnnotateNPWG(t, "["+start+"]")
	p.EventuallyNetworkStatus(t, "eth0", "poda1b2c3d4e5f")
	p.ExpectInterfaces(t, "eth0", "poda1b2c3d4e5f")
	p.EventuallyEvent(t, "RemovedInterface", "net-a", "pod1a2b3c4d5e6")
	tn.ExpectLeases(t, "net-a", 1)

	p.AnnotateNPWG(t, "["+start+","+plugged+"]") // plugged again
	p.EventuallyAttached(t, "eth0", "poda1b2c3d4e5f", "pod1a2b3c4d5e6")
	p.ExpectKept(t, before, "eth0", "poda1b2c3d4e5f")
	p.Del(t)
	p.ExpectGone(t)
}

// An npwgEdit is an edit of a running Pod's annotation, and what comes of it.
type npwgEdit struct {
	name, networks string
	want           []string
	kept           []string // of the step before
}

func editNPWG(t *testing.T, p *kactustest.Pod, edits []npwgEdit) {
	t.Helper()
	for _, edit := range edits {
		t.Run(edit.name, func(t *testing.T) {
			before := p.Indices(t)
			p.AnnotateNPWG(t, edit.networks)
			p.EventuallyAttached(t, edit.want...)
			p.EventuallyCondition(t, "True", "Attached")
			p.ExpectKept(t, before, edit.kept...)
		})
	}
	p.Del(t)
	p.ExpectGone(t)
}

func TestAgent_NPWGUnnamedInterfaces(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNADs(t, "net-a", "net-b", "net-c")
	tn.StartNodeAgent(t)
	editNPWG(t, newRunningNPWGPod(t, tn, "net-a"), []npwgEdit{
		{"a network that is added gets the lowest number that is free", "net-a,net-b",
			[]string{"eth0", "net1", "net2"}, []string{"eth0", "net1"}},
		{"the second keeps its name when the first is removed", "net-b", []string{"eth0", "net2"},
			[]string{"eth0", "net2"}},
		{"another one gets the number that is free again", "net-b,net-c", []string{"eth0", "net1", "net2"},
			[]string{"eth0", "net2"}},
		{"another order changes nothing", "net-c, net-b", []string{"eth0", "net1", "net2"},
			[]string{"eth0", "net1", "net2"}},
		{"one gets no number that another asks for", "net-c, net-b, net-a@net3, net-a",
			[]string{"eth0", "net1", "net2", "net3", "net4"}, []string{"eth0", "net1", "net2"}},
		{"a name is given to one that had a number", "net-b@blue0,net-c", []string{"eth0", "net1", "blue0"},
			[]string{"eth0", "net1"}},
		{"all are removed", "", []string{"eth0"}, []string{"eth0"}},
	})
}

func TestAgent_NPWGSameNetworkTwice(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNADs(t, "net-b")
	tn.CreateNAD(t, "net-a", kactustest.MacvlanConfig(tn.HostLocal(t), "mac", "ips"))
	tn.StartNodeAgent(t)
	withMAC := func(n int) string { return fmt.Sprintf(`{"name":"net-a","mac":%q}`, tn.UniqueMAC(n)) }
	t.Run("alike", func(t *testing.T) {
		editNPWG(t, newRunningNPWGPod(t, tn, "net-a,net-a"), []npwgEdit{
			{"one is removed", "net-a", []string{"eth0", "net1"}, []string{"eth0", "net1"}},
			{"one is added", "net-a,net-a", []string{"eth0", "net1", "net2"}, []string{"eth0", "net1"}},
		})
	})
	t.Run("told apart by their interfaces", func(t *testing.T) {
		editNPWG(t, newRunningNPWGPod(t, tn, "net-a@one,net-a@two"), []npwgEdit{
			{"the first is removed", "net-a@two", []string{"eth0", "two"}, []string{"eth0", "two"}},
			{"a third one is added", "net-a,net-a@two", []string{"eth0", "net1", "two"}, []string{"eth0", "two"}},
		})
	})
	t.Run("told apart by their MAC addresses", func(t *testing.T) {
		p := newRunningNPWGPod(t, tn, "["+withMAC(1)+","+withMAC(2)+","+withMAC(3)+"]")
		editNPWG(t, p, []npwgEdit{
			{"the second is removed", "[" + withMAC(1) + "," + withMAC(3) + "]",
				[]string{"eth0", "net1", "net3"}, []string{"eth0", "net1", "net3"}},
			{"another order changes nothing", "[" + withMAC(3) + "," + withMAC(1) + `,{"name":"net-b"}]`,
				[]string{"eth0", "net1", "net2", "net3"}, []string{"eth0", "net1", "net3"}},
			{"the last one alone stays", "[" + withMAC(3) + "]", []string{"eth0", "net3"}, []string{"eth0", "net3"}},
		})
	})
}

func TestAgent_NPWGChanges(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	other := tn.NewNamespace(t, "other")
	config := kactustest.MacvlanConfig(`{"type": "static"}`, "ips", "mac")
	tn.CreateNAD(t, "net-a", config)
	kactustest.Create(t, kactustest.NADsPath(other), kactustest.NADObject("net-a", config))
	tn.CreateBridgeNADs(t, "net-b")
	tn.StartNodeAgent(t)
	first, second := addressOf(tn, 11)+"/24", addressOf(tn, 12)+"/24"
	with := func(keys string) string { return `[{"name":"net-a",` + keys + `},{"name":"net-b"}]` }
	p := newRunningNPWGPod(t, tn, with(`"ips":["`+first+`"]`))
	before := p.Indices(t)
	for _, edit := range []struct {
		name, keys, change, ifName string
		addrs                      []string
	}{
		{"other addresses", `"ips":["` + second + `"]`, "changed: addresses", "net1", []string{second}},
		{"a MAC address", `"ips":["` + second + `"],"mac":"` + tn.UniqueMAC(5) + `"`, "changed: MAC address", "net1",
			[]string{second}},
		{"arguments", `"ips":["` + second + `"],"cni-args":{"a":"b"}`, "changed: MAC address, requests", "net1",
			[]string{second}},
		{"a namespace", `"ips":["` + second + `"],"cni-args":{"a":"b"},"namespace":"` + other + `"`,
			"changed: namespace", "net1", []string{second}},
		{"an interface", `"ips":["` + first + `"],"interface":"a0"`, "added", "a0", []string{first}},
	} {
		t.Run(edit.name, func(t *testing.T) {
			was := p.Indices(t)[edit.ifName]
			p.AnnotateNPWG(t, with(edit.keys))
			kactustest.Eventually(t, "the interface is another one", func() bool {
				now := p.Indices(t)[edit.ifName]
				return now != 0 && now != was
			})
			p.EventuallyAttached(t, "eth0", edit.ifName, "net2")
			p.EventuallyEvent(t, "AddedInterface", edit.ifName, edit.change)
			p.EventuallyCondition(t, "True", "Attached")
			kactustest.ExpectSame(t, "addresses", p.Addrs(t, edit.ifName), edit.addrs)
			p.ExpectKept(t, before, "eth0", "net2")
		})
	}
	p.Del(t)
	p.ExpectGone(t)
}

func TestAgent_OwnAnnotationToNPWGAndBack(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	tn.CreateNAD(t, "green", "{"+tn.BridgeConfig(t, "npwg")+"}")
	tn.StartNodeAgent(t)
	p := newRunningPod(t, tn, `[{"name":"green"}]`)
	before := p.Indices(t)
	const attached = "1 network is attached"
	for _, edit := range []struct {
		name           string
		own, npwg      any
		ifName, bridge string
		says           string
	}{
		{"to the other annotation", nil, "green", "net1", "npwg", attached},
		{"back", `[{"name":"green"}]`, nil, green, "green", attached},
		{"to both", `[{"name":"green"}]`, "green", green, "green", "passed over"},
		{"to the other alone, on the same interface", nil, "green@" + green, green, "npwg", attached},
		{"back, on the same interface", `[{"name":"green"}]`, nil, green, "green", attached},
	} {
		t.Run(edit.name, func(t *testing.T) {
			p.PatchAnnotations(t, map[string]any{"networks": edit.own, kactustest.NPWGAnnotation: edit.npwg})
			kactustest.Eventually(t, edit.ifName+" is on the bridge of "+edit.bridge, func() bool {
				return strings.HasSuffix(bridgeOf(t, p, edit.ifName), edit.bridge)
			})
			p.EventuallyAttached(t, "eth0", edit.ifName)
			kactustest.Eventually(t, "the condition says "+edit.says, func() bool {
				c := p.NetworksAttached(t)
				return c.Status == "True" && strings.Contains(c.Message, edit.says)
			})
			p.ExpectKept(t, before, "eth0")
		})
	}
	p.Del(t)
	p.ExpectGone(t)
}

// Each edit also changes what net-c is on, which shows that the agent has compared it.
func TestAgent_NPWGDefaultNetwork(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNADs(t, "net-a", "net-b", "net-c")
	tn.StartNodeAgent(t)
	for what, start := range map[string]map[string]string{
		"of the Pod":     {kactustest.NPWGAnnotation: "net-a", kactustest.DefaultNetworkAnnotation: "net-a"},
		"of the netconf": {kactustest.NPWGAnnotation: "net-a"},
	} {
		t.Run(what, func(t *testing.T) {
			p := tn.NewAnnotatedPod(t, start)
			p.Add(t)
			before := p.Indices(t)
			for _, edit := range []struct {
				name                 string
				defaultNetwork, npwg any
				want                 []string
				kept                 []string
			}{
				{"stays", "net-a", "net-a,net-c@c1", []string{"eth0", "net1", "c1"}, []string{"eth0", "net1"}},
				{"is another one now", "net-b", "net-a,net-c@c2", []string{"eth0", "net1", "c2"},
					[]string{"eth0", "net1"}},
				{"is not named now", nil, "net-a,net-c@c3", []string{"eth0", "net1", "c3"}, []string{"eth0", "net1"}},
				{"is an attached one now", "net-a", "net-a,net-c@c4", []string{"eth0", "net1", "c4"},
					[]string{"eth0", "net1"}},
				{"is one now that there is not", "no-net", "net-c@c5", []string{"eth0", "c5"}, []string{"eth0"}},
				{"stays alone", "net-c", nil, []string{"eth0"}, []string{"eth0"}},
			} {
				t.Run(edit.name, func(t *testing.T) {
					p.PatchAnnotations(t, map[string]any{
						kactustest.DefaultNetworkAnnotation: edit.defaultNetwork, kactustest.NPWGAnnotation: edit.npwg,
					})
					p.EventuallyAttached(t, edit.want...)
					p.EventuallyCondition(t, "True", "Attached")
					p.EventuallyAttached(t, edit.want...)
					p.ExpectKept(t, before, edit.kept...)
				})
			}
			p.Del(t)
			p.ExpectGone(t)
		})
	}
}

func TestAgent_NPWGRequests(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.AddRecorder(t, "record", "tuning")
	tn.CreateNAD(t, "net-a", recordedConfig())
	tn.CreateNetwork(t, "green", recordedConfig())
	tn.StartNodeAgent(t)
	keys, _ := requestedKeys(tn)
	for _, c := range []struct{ name, annotation, networks, ifName string }{
		{"of NetworkAttachmentDefinitions", kactustest.NPWGAnnotation, `[{"name":"net-a",` + keys + `}]`, "net1"},
		{"of those with an interface", kactustest.NPWGAnnotation, `[{"name":"net-a","interface":"red0",` + keys + `}]`,
			"red0"},
		{"of Networks", "networks", `[{"name":"green",` + keys + `}]`, green},
		{"of Networks with an interface", "networks", `[{"name":"green","interface":"red0",` + keys + `}]`, "red0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := tn.NewAnnotatedPod(t, nil)
			p.Add(t)
			p.PatchAnnotations(t, map[string]any{c.annotation: c.networks})
			p.EventuallyAttached(t, "eth0", c.ifName)
			p.EventuallyCondition(t, "True", "Attached")
			expectRequested(t, p, c.ifName)
			p.PatchAnnotations(t, map[string]any{c.annotation: nil})
			p.EventuallyAttached(t, "eth0")
			p.Del(t)
			p.ExpectGone(t)
		})
	}
}

// A network of kactus's own annotation can be selected several times, too.
func TestAgent_OwnInterfaces(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "blue")
	tn.StartNodeAgent(t)
	p := newRunningPod(t, tn, `[{"name":"green"},{"name":"green","interface":"g2"}]`)
	p.ExpectInterfaces(t, "eth0", green, "g2")
	for _, edit := range []struct {
		name, networks string
		want, kept     []string
	}{
		{"a third time", `[{"name":"green"},{"name":"green","interface":"g2"},{"name":"green","interface":"g3"}]`,
			[]string{"eth0", green, "g2", "g3"}, []string{"eth0", green, "g2"}},
		{"the one without an interface is removed",
			`[{"name":"green","interface":"g3"},{"name":"green","interface":"g2"}]`,
			[]string{"eth0", "g2", "g3"}, []string{"eth0", "g2", "g3"}},
		{"another interface", `[{"name":"green","interface":"g4"},{"name":"green","interface":"g2"}]`,
			[]string{"eth0", "g2", "g4"}, []string{"eth0", "g2"}},
		{"an interface for another network", `[{"name":"blue","interface":"g4"},{"name":"green","interface":"g2"}]`,
			[]string{"eth0", "g2", "g4"}, []string{"eth0", "g2"}},
	} {
		t.Run(edit.name, func(t *testing.T) {
			before := p.Indices(t)
			p.Annotate(t, edit.networks)
			p.EventuallyCondition(t, "True", "Attached")
			p.EventuallyAttached(t, edit.want...)
			p.EventuallyCondition(t, "True", "Attached")
			p.ExpectKept(t, before, edit.kept...)
		})
	}
	kactustest.Eventually(t, "g4 is of blue", func() bool { return len(tn.Leases(t, "blue")) == 1 })
	tn.ExpectLeases(t, "green", 1)
	p.Del(t)
	p.ExpectGone(t)
}
