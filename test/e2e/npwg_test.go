package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// An npwgCase is an annotation of a Pod that was written for Multus, and what comes of it.
type npwgCase struct {
	name, networks string
	ifNames        []string // besides eth0
	leases         []string // the networks of which there is a lease, as often as there is one
}

// run attaches a Pod and tears it down.
func (c npwgCase) run(t *testing.T, tn *kactustest.Tenant) {
	t.Helper()
	p := tn.NewNPWGPod(t, c.networks)
	result := p.Add(t)
	kactustest.ExpectResult(t, result, "eth0", p.MAC(t, "eth0"))
	all := append([]string{"eth0"}, c.ifNames...)
	p.ExpectInterfaces(t, all...)
	p.ExpectLedger(t, "attached", all...)
	for _, network := range c.leases {
		want := 0
		for _, other := range c.leases {
			if other == network {
				want++
			}
		}
		tn.ExpectLeases(t, network, want)
	}
	p.Del(t)
	p.ExpectGone(t)
}

func TestNPWG_Annotation(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	other, shared := tn.NewNamespace(t, "other"), tn.NewNamespace(t, "shared")
	tn.Conf.NetworkNamespace = shared
	tn.CreateBridgeNADs(t, "net-a", "net-c")
	for namespace, name := range map[string]string{other: "net-b", shared: "net-d"} {
		kactustest.Create(t, kactustest.NADsPath(namespace),
			kactustest.NADObject(name, "{"+tn.BridgeConfig(t, name)+"}"))
	}
	for _, c := range []npwgCase{
		{"is missing", "", nil, nil},
		{"is an empty list", "[]", nil, nil},
		{"is a name", "net-a", []string{"net1"}, []string{"net-a"}},
		{"is names with a namespace and an interface", " net-a, " + other + "/net-b ,net-c@eth5",
			[]string{"net1", "net2", "eth5"}, []string{"net-a", "net-b", "net-c"}},
		{"is in JSON", `[{"name":"net-a"},{"name":"net-b","namespace":"` + other + `","interface":"ethb"},
			{"name":"net-c","namespace":""}]`, []string{"net1", "ethb", "net3"}, []string{"net-a", "net-b", "net-c"}},
		{"names a network of networkNamespace", "net-d", []string{"net1"}, []string{"net-d"}},
		{"names a network twice", "net-a,net-a", []string{"net1", "net2"}, []string{"net-a", "net-a"}},
		{"names a network twice, with interfaces", "net-a@one,net-a@two", []string{"one", "two"},
			[]string{"net-a", "net-a"}},
		{"has keys of others", `[{"name":"net-a","color":"red","ifMac":"x","Interface":7}]`, []string{"net1"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, tn) })
	}
	t.Run("has keys of others, of which the log warns", func(t *testing.T) {
		log, err := os.ReadFile(tn.Conf.LogFile)
		kactustest.Must(t, err)
		for _, key := range []string{"color", "ifMac", "Interface"} {
			warns := func(line string) bool {
				return strings.Contains(line, "level=WARN") && strings.Contains(line, key) &&
					strings.Contains(line, kactustest.NPWGAnnotation)
			}
			if !slices.ContainsFunc(strings.Split(string(log), "\n"), warns) {
				t.Errorf("no warning of %s:\n%s", key, log)
			}
		}
	})
}

func TestNPWG_InvalidAnnotation(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNADs(t, "net-a", "net-b")
	many := strings.Repeat("net-a,", 64) + "net-a"
	for _, c := range []struct {
		name, networks string
		words          []string
	}{
		{"is no JSON", `[{"name":"net-a"`, nil},
		{"is no list", `{"name":"net-a"}`, nil},
		{"is a string in JSON", `"net-a"`, nil},
		{"has an empty element", "net-a,,net-b", []string{"element 1", "name"}},
		{"has an empty namespace", "/net-a", []string{"element 0", "namespace"}},
		{"has an empty interface", "net-a@", []string{"element 0", "interface"}},
		{"has a wrong name", "Net_A", []string{"element 0", "name"}},
		{"has a wrong name in JSON", `[{"name":"net-a"},{"name":"../net-b"}]`, []string{"element 1", "name"}},
		{"has a wrong MAC address", `[{"name":"net-a","mac":"02:23"}]`, []string{"element 0", "mac"}},
		{"has a wrong address", `[{"name":"net-a","ips":["10.0.0.300"]}]`, []string{"element 0", "ips"}},
		{"has a value of another type", `[{"name":"net-a","ips":"10.0.0.3/24"}]`, []string{"element 0", "ips"}},
		{"has a wrong port", `[{"name":"net-a","portMappings":[{"hostPort":0,"containerPort":80}]}]`,
			[]string{"element 0", "portMappings[0]", "hostPort"}},
		{"has an interface twice", "net-a@x1,net-b@x1", []string{"element 1", "interface", "x1"}},
		{"has the interface that another would get", "net-a@net2,net-b", []string{"element 1", "net2", "net-b"}},
		{"has a number that another would get",
			`[{"name":"net-a","interface":"net3"},{"name":"net-b"},{"name":"net-b"}]`,
			[]string{"element 2", "net3", "net-b"}},
		{"has the interface lo", "net-a@lo", []string{"element 0", "interface", "lo"}},
		{"has too long an interface", "net-a@interface-1234567", []string{"element 0", "interface"}},
		{"has too many networks", many, []string{"65", "64"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := tn.NewNPWGPod(t, c.networks)
			kactustest.ExpectError(t, p.AddError(t), 7, append(c.words, kactustest.NPWGAnnotation, p.Name)...)
			p.ExpectUntouched(t)
		})
	}
	t.Run("has the interface of the default network", func(t *testing.T) {
		p := tn.NewNPWGPod(t, "net-a@eth0")
		kactustest.ExpectError(t, p.AddError(t), 7, "net-a", "eth0")
		p.ExpectUntouched(t)
	})
}

func TestNPWG_UnknownNAD(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	shared := tn.NewNamespace(t, "shared")
	tn.Conf.NetworkNamespace = shared
	tn.CreateBridgeNADs(t, "net-a")
	tn.CreateBridgeNetworks(t, "net-b") // a Network is none
	for networks, words := range map[string][]string{
		"net-a,net-b":                 {"net-b", tn.Namespace, shared},
		"net-a," + shared + "/net-a":  {"net-a", shared},
		"net-a," + "no-such-ns/net-a": {"net-a", "no-such-ns"},
	} {
		t.Run("is error 11: "+strings.ReplaceAll(networks, "/", " "), func(t *testing.T) {
			p := tn.NewNPWGPod(t, networks)
			kactustest.ExpectError(t, p.AddError(t), 11, append(words, "NetworkAttachmentDefinition")...)
			p.ExpectUntouched(t)
		})
	}
	t.Run("a Pod starts once there is one", func(t *testing.T) {
		p := tn.NewNPWGPod(t, "net-a,net-c")
		kactustest.ExpectError(t, p.AddError(t), 11, "net-c")
		tn.CreateBridgeNADs(t, "net-c")
		p.Add(t)
		p.ExpectInterfaces(t, "eth0", "net1", "net2")
		p.Del(t)
		p.ExpectGone(t)
	})
}

func TestNPWG_NamespaceIsolation(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	shared, global, foreign := tn.NewNamespace(t, "shared"), tn.NewNamespace(t, "global"), tn.NewNamespace(t, "foreign")
	tn.Conf.NamespaceIsolation, tn.Conf.NetworkNamespace, tn.Conf.GlobalNamespaces = true, shared, []string{global}
	tn.CreateBridgeNADs(t, "net-a")
	for _, namespace := range []string{shared, global, foreign} {
		kactustest.Create(t, kactustest.NADsPath(namespace),
			kactustest.NADObject("net-b", "{"+tn.BridgeConfig(t, namespace[:3])+"}"))
	}
	for what, annotations := range map[string]map[string]string{
		"another namespace's network": {kactustest.NPWGAnnotation: foreign + "/net-b"},
		"another namespace's default network": {
			kactustest.NPWGAnnotation: "net-a", kactustest.DefaultNetworkAnnotation: foreign + "/net-b",
		},
	} {
		t.Run("refuses "+what, func(t *testing.T) {
			p := tn.NewAnnotatedPod(t, annotations)
			requests := kactustest.Requests(t, foreign, func() {
				kactustest.ExpectError(t, p.AddError(t), 103, "net-b", foreign, shared, global)
			})
			kactustest.ExpectSame(t, "requests", requests, nil)
			p.ExpectUntouched(t)
		})
	}
	t.Run("allows the others", func(t *testing.T) {
		p := tn.NewNPWGPod(t, fmt.Sprintf("net-a,%s/net-a,%s/net-b,%s/net-b", tn.Namespace, shared, global))
		p.Add(t)
		p.ExpectInterfaces(t, "eth0", "net1", "net2", "net3", "net4")
		p.Del(t)
		p.ExpectGone(t)
	})
}

func TestNPWG_BothAnnotations(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	tn.CreateBridgeNADs(t, "net-a")
	for _, own := range []struct {
		networks string
		want     []string
	}{{`[{"name":"green"}]`, []string{"eth0", green}}, {`[]`, []string{"eth0"}}, {``, []string{"eth0"}}} {
		t.Run("kactus's own decides: "+own.networks, func(t *testing.T) {
			p := tn.NewAnnotatedPod(t, map[string]string{
				"networks": own.networks, kactustest.NPWGAnnotation: `not even [`,
			})
			p.Add(t)
			p.ExpectInterfaces(t, own.want...)
			log, err := os.ReadFile(tn.Conf.LogFile)
			kactustest.Must(t, err)
			warns := func(line string) bool {
				return strings.Contains(line, "level=WARN") && strings.Contains(line, p.Name) &&
					strings.Contains(line, kactustest.NPWGAnnotation)
			}
			if !slices.ContainsFunc(strings.Split(string(log), "\n"), warns) {
				t.Errorf("no warning of the annotation that does not count:\n%s", log)
			}
			p.Del(t)
			p.ExpectGone(t)
		})
	}
}

func TestNPWG_SendsOneRequestPerObject(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNADs(t, "net-a", "net-b")
	p := tn.NewNPWGPod(t, "net-a,net-b")
	want := []string{"get " + kactustest.PodsPath(tn.Namespace) + "/" + p.Name + ": 200"}
	for _, name := range []string{"net-a", "net-b"} {
		want = append(want, "get "+kactustest.NADsPath(tn.Namespace)+"/"+name+": 200")
	}
	kactustest.ExpectSame(t, "requests of ADD", kactustest.Requests(t, tn.Namespace, func() { p.Add(t) }), want)
	p.Conf.Kubeconfig = tn.UnreachableKubeconfig(t, kactustest.NodeToken)
	p.Del(t)
	p.ExpectGone(t)
}

// keysOf returns the names of the capabilities that a delegate got.
func keysOf(values map[string]json.RawMessage) []string {
	keys := []string{}
	for key := range values {
		keys = append(keys, key)
	}
	return keys
}

// ping fails the test if the address cannot be reached from that interface of the Pod.
func ping(t *testing.T, from *kactustest.Pod, ifName, address string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "nsenter", "--net="+from.Netns, "ping", "-c", "1", "-W", "5", "-I", ifName,
		address)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("ping: %v: %s", err, out)
	}
}
