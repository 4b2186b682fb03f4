package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

func TestHostileAnnotation(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	tn.bridges(t, "green", "blue", collider, collided)
	for what, c := range map[string]struct {
		annotation string
		words      []string
	}{
		"with an unknown key":          {`[{"name":"green"},{"name":"blue","ifmac":"0a:00:00:00:00:01"}]`, []string{"element 1", "ifmac"}},
		"with two names of one device": {`[{"name":"` + collider + `"},{"name":"` + collided + `"}]`, []string{collider, collided, deviceName(collider)}},
	} {
		t.Run(what+" is refused, and nothing is touched", func(t *testing.T) {
			p := tn.pod(t, c.annotation)
			asked := requests(t, tn.namespace, func() { expectError(t, p.addError(t), 7, c.words...) })
			if len(asked) != 1 {
				t.Errorf("requests: %q; want the Pod's alone", asked)
			}
			p.expectUntouched(t)
		})
	}
}

func TestHostileNetwork(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	for name, c := range map[string]struct{ what, config, word string }{
		"ipam":    {"an IPAM type that is a path", `{"type": "bridge", "ipam": {"type": "../../../bin/sh"}}`, "ipam.type"},
		"ipam-2":  {"a path as the IPAM type of a chain's second plugin", `{"plugins": [{"type": "bridge"}, {"type": "tuning", "ipam": {"type": "../sh"}}]}`, "plugins[1].ipam.type"},
		"flannel": {"a path as the IPAM type of a delegate's delegate", `{"type": "flannel", "delegate": {"type": "bridge", "ipam": {"type": "../sh"}}}`, "delegate.ipam.type"},
		"folded":  {"an ipam section twice, in another case and by an escape", `{"type": "bridge", "ipam": {"type": "static"}, "Ipam": {"type": "../sh"}}`, "pam"},
		"early":   {"a configuration that closes early", `{"type": "bridge"}, "x": {}}`, "spec.config"},
	} {
		tn.network(t, name, c.config)
		t.Run(c.what+" is refused, and nothing is touched", func(t *testing.T) {
			p := tn.pod(t, `[{"name":"`+name+`"}]`)
			expectError(t, p.addError(t), 7, name, c.word)
			p.expectUntouched(t)
		})
	}
}

func TestLargeNetwork(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	config := func(size int) string {
		head := `{"type": "macvlan", "master": "` + node.Uplink + `", "note": "`
		return head + strings.Repeat("x", size-len(head)-2) + `"}`
	}
	t.Run("of a configuration of one mebibyte works", func(t *testing.T) {
		tn.network(t, "green", config(1<<20))
		p := tn.pod(t, `[{"name":"green"}]`)
		p.add(t)
		p.expectDevices(t, "eth0", greenDevice)
		p.hotDel(t, "green")
		p.expectDevices(t, "eth0")
		p.del(t)
		p.expectGone(t)
	})
	t.Run("of a larger configuration is refused by the apiserver", func(t *testing.T) {
		body := encode(t, networkObject("blue", networkSpec{Config: config(1<<20 + 1)}))
		do(t, http.MethodPost, networksPath(tn.namespace), body, http.StatusUnprocessableEntity)
	})
}

func TestHostileEnvironment(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	p := tn.podWith(t, nil)
	args := "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=" + tn.namespace + ";K8S_POD_NAME=" + p.name
	sane := map[string]string{
		"CNI_COMMAND": "ADD", "CNI_CONTAINERID": p.id, "CNI_NETNS": p.netns, "CNI_IFNAME": "eth0",
		"CNI_ARGS": strings.TrimPrefix(args, "CNI_ARGS="), "CNI_PATH": strings.Join(tn.path, ":"),
	}
	for what, c := range map[string]struct{ name, value string }{
		"a container ID that is a path": {"CNI_CONTAINERID", "../../etc/passwd"},
		"a verb that is none":           {"CNI_COMMAND", "ATTACH"},
		"a Pod's name that is a path":   {"CNI_ARGS", "K8S_POD_NAMESPACE=default;K8S_POD_NAME=../secrets/x"},
	} {
		t.Run(what+" is refused, and nothing is touched", func(t *testing.T) {
			var env []string
			for name, value := range sane {
				if name == c.name {
					value = c.value
				}
				env = append(env, name+"="+value)
			}
			_, err := startWith(t, encode(t, tn.conf), env...).wait(t)
			if err == nil {
				t.Fatal("the ADD succeeds")
			}
			expectError(t, cniError(t, err), 4, c.name)
			p.expectUntouched(t)
			if left := fileNames(t, tn.conf.CNIDir); len(left) > 0 {
				t.Errorf("the ledger has %q", left)
			}
		})
	}
}

func TestNumberOfNetworks(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	const most = 64
	var selections []map[string]string
	devices := []string{"eth0"}
	for i := range most + 1 {
		name := fmt.Sprintf("n-%d", i)
		tn.network(t, name, `{"type": "macvlan", "master": "`+node.Uplink+`"}`)
		selections = append(selections, map[string]string{"name": name})
		devices = append(devices, deviceName(name))
	}
	annotation := func(n int) string {
		data, err := json.Marshal(selections[:n])
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	t.Run("65 are refused, and nothing is touched", func(t *testing.T) {
		p := tn.pod(t, annotation(most+1))
		expectError(t, p.addError(t), 7, "65", "64")
		p.expectUntouched(t)
	})
	t.Run("64 work", func(t *testing.T) {
		p := tn.pod(t, annotation(most))
		p.add(t)
		p.expectDevices(t, devices[:most+1]...)
		p.del(t)
		p.expectGone(t)
	})
}
