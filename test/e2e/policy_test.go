package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// A networkKind is a kind of object that describes a network.
type networkKind struct {
	name, resource string
	path           func(namespace string) string
	object         func(name string, spec kactustest.NetworkSpec) kactustest.Object
}

// networkKinds are the kinds that can have a plugin run as root on a node.
var networkKinds = []networkKind{
	{"Network", "network.kaloom.com", kactustest.NetworksPath, kactustest.NetworkObject},
	{"NetworkAttachmentDefinition", "network-attachment-definitions.k8s.cni.cncf.io", kactustest.NADsPath,
		func(name string, spec kactustest.NetworkSpec) kactustest.Object {
			return kactustest.NADObject(name, withType(spec))
		}},
}

// withType returns the configuration of a spec, with its plugin as the type: a
// NetworkAttachmentDefinition has no plugin elsewhere.
func withType(spec kactustest.NetworkSpec) string {
	if spec.Plugin == "" || spec.Config == "" {
		return spec.Config
	}
	return strings.Replace(spec.Config, "{", fmt.Sprintf(`{"type": %q, `, spec.Plugin), 1)
}

// try returns how the apiserver answers a request to create such an object.
func (k networkKind) try(t *testing.T, namespace string, spec kactustest.NetworkSpec) (status int, answer string) {
	t.Helper()
	return tryToCreate(t, k.path(namespace), k.object("tried", spec))
}

func tryToCreate(t *testing.T, path string, o kactustest.Object) (status int, answer string) {
	t.Helper()
	status, body, err := kactustest.ControlPlane().Do(t.Context(), http.MethodPost, path+"?dryRun=All", "",
		kactustest.Encode(t, o))
	kactustest.Must(t, err)
	return status, string(body)
}

// applyPolicy applies an example of an admission policy, and restricts the tenant's namespace.
func applyPolicy(t *testing.T, tn *kactustest.Tenant, file string) {
	t.Helper()
	file = filepath.Join(kactustest.Root(), "examples", "policy", file)
	for _, args := range [][]string{
		{"apply", "-f", file},
		{"label", "namespace", tn.Namespace, "networks.kaloom.com/restricted=true"},
	} {
		if out, err := kactustest.Kubectl(t.Context(), "", args...); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
}

// evil is what a tenant must not have.
var evil = kactustest.NetworkSpec{Plugin: "host-device", Config: `{"device": "eth0"}`}

// TestPolicy applies the example of an admission policy to a real apiserver.
func TestPolicy(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	applyPolicy(t, tn, "restrict-networks.yaml")
	for _, kind := range networkKinds {
		kactustest.Eventually(t, "the policy is enforced", func() bool {
			status, _ := kind.try(t, tn.Namespace, evil)
			return status == http.StatusUnprocessableEntity
		})
		t.Run(kind.name, func(t *testing.T) { kind.testPolicy(t, tn) })
	}
}

const good = `"master": "eth1"`

// restrictedSpecs are what the policy accepts and refuses, of both kinds.
var (
	acceptedSpecs = map[string]kactustest.NetworkSpec{
		"a vlan with addresses of the Pod's": {Plugin: "vlan",
			Config: `{"master": "bond0", "vlanId": 42, "capabilities": {"ips": true}, "ipam": {"type": "static"}}`},
		"a macvlan": {Plugin: "macvlan",
			Config: "{\n  \"master\": \"eth1\",\n  \"mode\": \"bridge\"\n}\n"},
		"a bridge": {Plugin: "bridge", Config: `{"bridge":"tenant-red","mtu":1400}`},
		"white space around the colon": {Plugin: "bridge",
			Config: "{\n\t\"mtu\" : 1400,\r\n\t\"bridge\" \t\n: \"tenant-red\" }"},
		"a bridge whose mode is bridge": {Plugin: "bridge", Config: `{"mode": "bridge", "bridge": "tenant-red"}`},
		"a type in spec.config":         {Config: `{"cniVersion": "1.0.0", "type": "macvlan", "master": "eth1"}`},
	}
	refusedSpecs = map[string]kactustest.NetworkSpec{
		"another plugin":            evil,
		"no plugin":                 {Config: `{` + good + `}`},
		"no configuration":          {Plugin: "macvlan"},
		"no master":                 {Plugin: "macvlan", Config: `{"mode": "bridge"}`},
		"another master":            {Plugin: "macvlan", Config: `{"master": "eth0"}`},
		"a bridge without a name":   {Plugin: "bridge", Config: `{` + good + `}`},
		"a value that reads bridge": {Plugin: "bridge", Config: `{"mode": "bridge"}`},
		"a value that reads bridge, with white space": {Plugin: "bridge",
			Config: "{\"mode\"\t:\n\"bridge\"\n}"},
		"a value that reads bridge, before another key": {Plugin: "bridge",
			Config: `{"mode": "bridge", "mtu": 1400}`},
		"a value that reads bridge, before a master": {Plugin: "bridge", Config: `{"mode": "bridge", ` + good + `}`},
		"a value that reads bridge, with a colon":    {Plugin: "bridge", Config: `{"mode": "bridge": "tenant-red"}`},
		"a bridge by escapes": {Plugin: "bridge",
			Config: `{"mode": "bridge", "\u0062ridge": "tenant-red"}`},
		"a bridge by escapes alone": {Plugin: "bridge", Config: `{"\u0062ridge": "cni0"}`},
		"a value by escapes":        {Plugin: "bridge", Config: `{"mode": "\u0062ridge"}`},
		"a bridge in another case":  {Plugin: "bridge", Config: `{"mode": "bridge", "Bridge": "cni0"}`},
		"a bridge inside a string":  {Plugin: "bridge", Config: `{"mode": "\"bridge\": \"tenant-red\""}`},
		"a bridge inside an object": {Plugin: "bridge",
			Config: `{"ipam": {"type": "static", "bridge": "tenant-red"}}`},
		"a bridge in a comment":        {Plugin: "bridge", Config: `{"mtu": 1400 /* "bridge": */}`},
		"a bridge that is null":        {Plugin: "bridge", Config: `{"bridge": null}`},
		"a bridge with an empty name":  {Plugin: "bridge", Config: `{"bridge": ""}`},
		"a bridge, and another one":    {Plugin: "bridge", Config: `{"bridge": "tenant-red", "bridge": "cni0"}`},
		"a name that goes on":          {Plugin: "bridge", Config: `{"bridge": "tenant-red\u0000"}`},
		"a master for a bridge's mode": {Plugin: "macvlan", Config: `{"mode": "master"}`},
		"a bridge for a macvlan":       {Plugin: "macvlan", Config: `{"bridge": "tenant-red"}`},
		"a master by escapes":          {Plugin: "macvlan", Config: `{"\u006daster": "eth1"}`},
		"a master by escapes beside one": {Plugin: "macvlan",
			Config: `{` + good + `, "\u006daster": "eth0"}`},
		"a master that is a number":       {Plugin: "macvlan", Config: `{"master": 1}`},
		"a master with an escape in it":   {Plugin: "macvlan", Config: `{"master": "eth\u0031"}`},
		"a master in another white space": {Plugin: "macvlan", Config: "{\"master\"\u00a0: \"eth1\"}"},
		"a vlan without a VLAN":           {Plugin: "vlan", Config: `{` + good + `}`},
		"a vlan with the VLAN 0":          {Plugin: "vlan", Config: `{` + good + `, "vlanId": 0}`},
		"another bridge":                  {Plugin: "bridge", Config: `{"bridge": "cni0"}`},
		"another mode":                    {Plugin: "macvlan", Config: `{` + good + `, "mode": "passthru"}`},
		"a type":                          {Plugin: "macvlan", Config: `{` + good + `, "type": "host-device"}`},
		"a type, twice":                   {Plugin: "macvlan", Config: `{` + good + `, "type": "macvlan"}`},
		"a type, and another one":         {Plugin: "vlan", Config: `{` + good + `, "type": "macvlan"}`},
		"a type that may be, as the IPAM plugin": {Plugin: "macvlan",
			Config: `{` + good + `, "ipam": {"type": "bridge"}}`},
		"a type as the IPAM plugin alone": {Config: `{` + good + `, "ipam": {"type": "macvlan"}}`},
		"a type in a string":              {Config: `{` + good + `, "mode": "\"type\": \"macvlan\""}`},
		"a type in another case":          {Plugin: "macvlan", Config: `{` + good + `, "TYPE": "host-device"}`},
		"a type by escapes": {Plugin: "macvlan",
			Config: `{` + good + `, "\u0074ype": "host-device"}`},
		"a master in another case": {Plugin: "macvlan", Config: `{` + good + `, "Master": "eth0"}`},
		"a master with the long s": {Plugin: "macvlan", Config: `{` + good + `, "ma\u017fter": "eth0"}`},
		"a master inside a string": {Plugin: "macvlan", Config: `{"mode": "\"master\""}`},
		"a chain": {Plugin: "macvlan",
			Config: `{"plugins": [{"type": "macvlan", ` + good + `}, {"type": "tuning"}]}`},
		"a chain behind it": {Plugin: "macvlan",
			Config: `{` + good + `, "plugins": [{"type": "tuning"}]}`},
		"a second object behind it": {Plugin: "macvlan", Config: `{` + good + `} {"master": "eth0"}`},
		"another IPAM plugin":       {Plugin: "vlan", Config: `{` + good + `, "ipam": {"type": "dhcp"}}`},
		"an IPAM plugin with settings of its own": {Plugin: "vlan",
			Config: `{` + good + `, "ipam": {"type": "static", "dataDir": "/etc"}}`},
		"a path as the IPAM plugin": {Plugin: "vlan",
			Config: `{` + good + `, "ipam": {"type": "../static"}}`},
		"a name":                              {Plugin: "macvlan", Config: `{` + good + `, "name": "cbr0"}`},
		"a key that the policy does not know": {Plugin: "macvlan", Config: `{` + good + `, "prevResult": {}}`},
		"a mebibyte": {Plugin: "macvlan",
			Config: `{` + strings.Repeat(" ", 1<<20-32) + good + `}`},
	}
)

func (k networkKind) testPolicy(t *testing.T, tn *kactustest.Tenant) {
	for what, spec := range acceptedSpecs {
		t.Run("accepts "+what, func(t *testing.T) {
			if status, answer := k.try(t, tn.Namespace, spec); status != http.StatusCreated {
				t.Errorf("status %d: %s", status, answer)
			}
		})
	}
	for what, spec := range refusedSpecs {
		t.Run("refuses "+what, func(t *testing.T) {
			expectRefused(t, "restrict-networks")(k.try(t, tn.Namespace, spec))
		})
	}
	t.Run("leaves other namespaces alone", func(t *testing.T) {
		other := kactustest.NewTenant(t)
		kactustest.Create(t, k.path(other.Namespace), k.object("tried", evil))
	})
	t.Run("refuses a change to one that was accepted", func(t *testing.T) {
		kactustest.Create(t, k.path(tn.Namespace),
			k.object("changed", kactustest.NetworkSpec{Plugin: "macvlan", Config: `{` + good + `}`}))
		for _, patch := range []string{
			`{"spec": {"plugin": "host-device"}}`, `{"spec": {"config": "{\"type\": \"host-device\"}"}}`,
			`{"spec": {"config": null}}`,
		} {
			out, err := kactustest.Kubectl(t.Context(), "", "patch", k.resource, "changed", "-n", tn.Namespace,
				"--type=merge", "-p", patch)
			if err == nil && !strings.Contains(out, "no change") {
				t.Errorf("%s: changed: %s", patch, out)
			}
		}
	})
}

// expectRefused returns a function that fails the test unless the apiserver's answer is that the
// policy refuses the object.
func expectRefused(t *testing.T, policy string) func(status int, answer string) {
	return func(status int, answer string) {
		t.Helper()
		if status != http.StatusUnprocessableEntity || !strings.Contains(answer, policy) {
			t.Errorf("status %d: %s", status, answer)
		}
	}
}

// A NetworkAttachmentDefinition without a configuration of its own gets one of the node's.
func TestPolicy_NoConfigOfTheNode(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	applyPolicy(t, tn, "restrict-networks.yaml")
	nad := networkKinds[1]
	kactustest.Eventually(t, "the policy is enforced", func() bool {
		status, _ := nad.try(t, tn.Namespace, evil)
		return status == http.StatusUnprocessableEntity
	})
	for what, spec := range map[string]any{
		"no spec": nil, "an empty spec": map[string]any{}, "an empty config": map[string]any{"config": ""},
		"a config of white space": map[string]any{"config": " "},
	} {
		t.Run("refuses "+what, func(t *testing.T) {
			o := kactustest.NADObject("tried", "")
			o.Spec = spec
			expectRefused(t, "restrict-networks")(tryToCreate(t, nad.path(tn.Namespace), o))
		})
	}
}

func TestPolicy_CNIArgs(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	before := tn.NewNPWGPod(t, `[{"name": "a", "cni-args": {"x": 1}}]`)
	applyPolicy(t, tn, "restrict-cni-args.yaml")
	try := func(annotations map[string]string) (int, string) {
		return tryToCreate(t, kactustest.PodsPath(tn.Namespace), kactustest.PodObject("tried", annotations))
	}
	kactustest.Eventually(t, "the policy is enforced", func() bool {
		status, _ := try(map[string]string{kactustest.NPWGAnnotation: `[{"name": "a", "cni-args": {}}]`})
		return status == http.StatusUnprocessableEntity
	})
	for what, annotations := range map[string]map[string]string{
		"no annotation":        nil,
		"another annotation":   {"example.com/note": `no "cni-args" \ here`},
		"other keys":           {"networks": `[{"name": "a", "ips": ["10.0.0.1/24"]}]`},
		"a list with commas":   {kactustest.NPWGAnnotation: "a, b@net5"},
		"another NPWG request": {kactustest.NPWGAnnotation: "[\n{\"name\": \"a\", \"mac\": \"0a:00:00:00:00:01\"}\n]"},
	} {
		t.Run("accepts "+what, func(t *testing.T) {
			if status, answer := try(annotations); status != http.StatusCreated {
				t.Errorf("status %d: %s", status, answer)
			}
		})
	}
	for _, key := range []string{"networks", kactustest.NPWGAnnotation, kactustest.DefaultNetworkAnnotation} {
		for _, value := range []string{
			`[{"name": "a", "cni-args": {"sysctl": {}}}]`,
			`[{"name": "a", "\u0063ni-args": {"sysctl": {}}}]`,
			`[{"name": "a", "CNI-args": {}}]`,
			`[{"name": "a", "cni-argſ": {}}]`,
		} {
			t.Run("refuses "+key+"="+value, func(t *testing.T) {
				expectRefused(t, "restrict-cni-args")(try(map[string]string{key: value}))
			})
		}
	}
	t.Run("refuses a change, and lets what was there before be", func(t *testing.T) {
		annotate := func(key, value string) error {
			_, err := kactustest.Kubectl(t.Context(), "", "annotate", "--overwrite", "-n", tn.Namespace,
				"pod", before.Name, key+"="+value)
			return err
		}
		kactustest.Must(t, annotate("example.com/note", "changed"))
		if annotate(kactustest.NPWGAnnotation, `[{"name": "a", "cni-args": {"x": 2}}]`) == nil {
			t.Error("the arguments are changed")
		}
		kactustest.Must(t, annotate(kactustest.NPWGAnnotation, "a"))
	})
	t.Run("refuses the annotation of a binding, which becomes the Pod's", func(t *testing.T) {
		kactustest.Create(t, kactustest.PodsPath(tn.Namespace), kactustest.PodObject("unbound", nil))
		status, answer, err := kactustest.ControlPlane().Do(t.Context(), http.MethodPost,
			kactustest.PodsPath(tn.Namespace)+"/unbound/binding", "", []byte(`{
				"apiVersion": "v1", "kind": "Binding", "target": {"kind": "Node", "name": "n"},
				"metadata": {"name": "unbound", "annotations": {"networks": "[{\"cni-args\": {}}]"}}
			}`))
		kactustest.Must(t, err)
		expectRefused(t, "restrict-cni-args")(status, string(answer))
	})
}
