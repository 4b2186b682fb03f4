package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

func TestAdd_InvalidAnnotation(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "blue", collider, collided)
	for what, c := range map[string]struct {
		annotation string
		words      []string
	}{
		"with an unknown key": {`[{"name":"green"},{"name":"blue","ifmac":"0a:00:00:00:00:01"}]`,
			[]string{"element 1", "ifmac"}},
		"with two names of one interface": {`[{"name":"` + collider + `"},{"name":"` + collided + `"}]`,
			[]string{collider, collided, kactustest.IfName(collider)}},
	} {
		t.Run(what+" is refused", func(t *testing.T) {
			p := tn.NewPod(t, c.annotation)
			requests := kactustest.Requests(t, tn.Namespace,
				func() { kactustest.ExpectError(t, p.AddError(t), 7, c.words...) })
			if len(requests) != 1 {
				t.Errorf("requests: %q; want that for the Pod alone", requests)
			}
			p.ExpectUntouched(t)
		})
	}
}

func TestAdd_InvalidNetwork(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	for name, c := range map[string]struct{ what, config, word string }{
		"ipam": {"an IPAM type that is a path", `{"type": "bridge", "ipam": {"type": "../../../bin/sh"}}`,
			"ipam.type"},
		"ipam-2": {"a path as the IPAM type of a chain's second plugin",
			`{"plugins": [{"type": "bridge"}, {"type": "tuning", "ipam": {"type": "../sh"}}]}`, "plugins[1].ipam.type"},
		"flannel": {"a path as the IPAM type of a delegate's delegate",
			`{"type": "flannel", "delegate": {"type": "bridge", "ipam": {"type": "../sh"}}}`, "delegate.ipam.type"},
		"folded": {"an ipam section twice, in another case and by an escape",
			`{"type": "bridge", "ipam": {"type": "static"}, "Ipam": {"type": "../sh"}}`, "pam"},
		"early": {"a configuration that closes early", `{"type": "bridge"}, "x": {}}`, "spec.config"},
	} {
		tn.CreateNetwork(t, name, c.config)
		t.Run(c.what+" is refused", func(t *testing.T) {
			p := tn.NewPod(t, `[{"name":"`+name+`"}]`)
			kactustest.ExpectError(t, p.AddError(t), 7, name, c.word)
			p.ExpectUntouched(t)
		})
	}
}

func TestAdd_LargeNetwork(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	config := func(size int) string {
		head := `{"type": "macvlan", "master": "` + node.Uplink + `", "note": "`
		return head + strings.Repeat("x", size-len(head)-2) + `"}`
	}
	t.Run("a configuration of 1 MiB works", func(t *testing.T) {
		tn.CreateNetwork(t, "green", config(1<<20))
		p := tn.NewPod(t, `[{"name":"green"}]`)
		p.Add(t)
		p.ExpectInterfaces(t, "eth0", kactustest.GreenIfName)
		p.HotDel(t, "green")
		p.ExpectInterfaces(t, "eth0")
		p.Del(t)
		p.ExpectGone(t)
	})
	t.Run("the apiserver refuses a larger one", func(t *testing.T) {
		body := kactustest.Encode(t, kactustest.NetworkObject("blue",
			kactustest.NetworkSpec{Config: config(1<<20 + 1)}))
		kactustest.Do(t, http.MethodPost, kactustest.NetworksPath(tn.Namespace), body, http.StatusUnprocessableEntity)
	})
}

func TestAdd_InvalidEnvironment(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	p := tn.NewAnnotatedPod(t, nil)
	args := "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=" + tn.Namespace + ";K8S_POD_NAME=" + p.Name
	sane := map[string]string{
		"CNI_COMMAND": "ADD", "CNI_CONTAINERID": p.ID, "CNI_NETNS": p.Netns, "CNI_IFNAME": "eth0",
		"CNI_ARGS": strings.TrimPrefix(args, "CNI_ARGS="), "CNI_PATH": strings.Join(tn.Path, ":"),
	}
	for what, c := range map[string]struct{ name, value string }{
		"a container ID that is a path": {"CNI_CONTAINERID", "../../etc/passwd"},
		"an unknown operation":          {"CNI_COMMAND", "ATTACH"},
		"a Pod's name that is a path":   {"CNI_ARGS", "K8S_POD_NAMESPACE=default;K8S_POD_NAME=../secrets/x"},
	} {
		t.Run(what+" is refused", func(t *testing.T) {
			var env []string
			for name, value := range sane {
				if name == c.name {
					value = c.value
				}
				env = append(env, name+"="+value)
			}
			_, err := kactustest.StartWith(t, kactustest.Encode(t, tn.Conf), env...).Wait(t)
			if err == nil {
				t.Fatal("the ADD succeeded")
			}
			kactustest.ExpectError(t, kactustest.CNIError(t, err), 4, c.name)
			p.ExpectUntouched(t)
			if left := kactustest.FileNames(t, tn.Conf.CNIDir); len(left) > 0 {
				t.Errorf("the ledger has %q", left)
			}
		})
	}
}

func TestAdd_NumberOfNetworks(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	const most = 64
	var selections []map[string]string
	ifNames := []string{"eth0"}
	for i := range most + 1 {
		name := fmt.Sprintf("n-%d", i)
		tn.CreateNetwork(t, name, `{"type": "macvlan", "master": "`+node.Uplink+`"}`)
		selections = append(selections, map[string]string{"name": name})
		ifNames = append(ifNames, kactustest.IfName(name))
	}
	annotation := func(n int) string {
		data, err := json.Marshal(selections[:n])
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	t.Run("65 are refused", func(t *testing.T) {
		p := tn.NewPod(t, annotation(most+1))
		kactustest.ExpectError(t, p.AddError(t), 7, "65", "64")
		p.ExpectUntouched(t)
	})
	t.Run("64 work", func(t *testing.T) {
		p := tn.NewPod(t, annotation(most))
		p.Add(t)
		p.ExpectInterfaces(t, ifNames[:most+1]...)
		p.Del(t)
		p.ExpectGone(t)
	})
}

// Two networks that have the same interface name.
const (
	collider = "n-009b5fbe0257"
	collided = "n-ee6b99c6809e"
)
