package e2e

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// TestPolicy applies the example of an admission policy to a real apiserver.
func TestPolicy(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	file := filepath.Join(kactustest.Root(), "examples", "policy", "restrict-networks.yaml")
	if out, err := kactustest.Kubectl(t.Context(), "", "apply", "-f", file); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := kactustest.Kubectl(t.Context(), "", "label", "namespace", tn.Namespace,
		"networks.kaloom.com/restricted=true"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	try := func(spec kactustest.NetworkSpec) (int, string) {
		body := kactustest.Encode(t, kactustest.NetworkObject("tried", spec))
		status, answer, err := kactustest.ControlPlane().Do(t.Context(), http.MethodPost,
			kactustest.NetworksPath(tn.Namespace)+"?dryRun=All", "", body)
		if err != nil {
			t.Fatal(err)
		}
		return status, string(answer)
	}
	evil := kactustest.NetworkSpec{Plugin: "host-device", Config: `{"device": "eth0"}`}
	kactustest.Eventually(t, "the policy is enforced", func() bool {
		status,
			_ := try(evil)
		return status == http.StatusUnprocessableEntity
	})

	for what, spec := range map[string]kactustest.NetworkSpec{
		"a vlan with addresses of the Pod's": {Plugin: "vlan",
			Config: `{"master": "bond0", "vlanId": 42, "capabilities": {"ips": true}, "ipam": {"type": "static"}}`},
		"a macvlan": {Plugin: "macvlan",
			Config: "{\n  \"master\": \"eth1\",\n  \"mode\": \"bridge\"\n}\n"},
		"a bridge": {Plugin: "bridge", Config: `{"bridge":"tenant-red","mtu":1400}`},
		"white space around the colon": {Plugin: "bridge",
			Config: "{\n\t\"mtu\" : 1400,\r\n\t\"bridge\" \t\n: \"tenant-red\" }"},
		"a bridge whose mode is bridge": {Plugin: "bridge", Config: `{"mode": "bridge", "bridge": "tenant-red"}`},
	} {
		t.Run("accepts "+what, func(t *testing.T) {
			if status, answer := try(spec); status != http.StatusCreated {
				t.Errorf("status %d: %s", status, answer)
			}
		})
	}
	const good = `"master": "eth1"`
	for what, spec := range map[string]kactustest.NetworkSpec{
		"another plugin":            evil,
		"no plugin":                 {Config: `{"type": "macvlan", ` + good + `}`},
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
		"a key that the policy does not know": {Plugin: "macvlan", Config: `{` + good + `, "prevResult": {}}`},
		"a mebibyte": {Plugin: "macvlan",
			Config: `{` + strings.Repeat(" ", 1<<20-32) + good + `}`},
	} {
		t.Run("refuses "+what, func(t *testing.T) {
			if status, answer := try(spec); status != http.StatusUnprocessableEntity ||
				!strings.Contains(answer, "restrict-networks") {
				t.Errorf("status %d: %s", status, answer)
			}
		})
	}
	t.Run("leaves other namespaces alone", func(t *testing.T) {
		other := kactustest.NewTenant(t)
		kactustest.Create(t, kactustest.NetworksPath(other.Namespace), kactustest.NetworkObject("tried", evil))
	})
	t.Run("refuses a change to one that was accepted", func(t *testing.T) {
		kactustest.Create(t, kactustest.NetworksPath(tn.Namespace),
			kactustest.NetworkObject("changed", kactustest.NetworkSpec{Plugin: "macvlan", Config: `{` + good + `}`}))
		patch := `{"spec": {"plugin": "host-device"}}`
		if out, err := kactustest.Kubectl(t.Context(), "", "patch", "network.kaloom.com", "changed", "-n", tn.Namespace,
			"--type=merge", "-p", patch); err == nil {
			t.Errorf("changed: %s", out)
		}
	})
}
