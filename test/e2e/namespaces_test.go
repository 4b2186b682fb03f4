package e2e

import (
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

func TestAdd_Namespaces(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	shared, foreign := tn.NewNamespace(t, "shared"), tn.NewNamespace(t, "foreign")
	tn.Conf.NetworkNamespace = shared
	// Networks of the same name in each namespace, told apart by their MTU.
	mtu := map[string]int{tn.Namespace: 1401, shared: 1402, foreign: 1403}
	in := func(namespace, name, mtu string) {
		config := `{"type": "macvlan", "master": "` + node.Uplink + `", "mtu": ` + mtu + `}`
		kactustest.Create(t, kactustest.NetworksPath(namespace),
			kactustest.NetworkObject(name, kactustest.NetworkSpec{Config: config}))
	}
	in(tn.Namespace, "green", "1401")
	in(shared, "green", "1402")
	in(foreign, "green", "1403")
	in(shared, "blue", "1402")
	in(foreign, "data", "1403")

	for _, c := range []struct{ what, annotation, ifName, from string }{
		{"the Pod's own is first", `[{"name":"green"}]`, kactustest.GreenIfName, tn.Namespace},
		{"a selection's namespace", `[{"name":"green","namespace":"` + foreign + `"}]`, kactustest.GreenIfName,
			foreign},
		{"networkNamespace is next", `[{"name":"blue"}]`, kactustest.BlueIfName, shared},
		{"an empty one is as none", `[{"name":"green","namespace":""}]`, kactustest.GreenIfName, tn.Namespace},
	} {
		t.Run(c.what, func(t *testing.T) {
			p := tn.NewPod(t, c.annotation)
			p.Add(t)
			p.ExpectInterfaces(t, "eth0", c.ifName)
			if got := p.Link(t, c.ifName).Attrs().MTU; got != mtu[c.from] {
				t.Errorf("MTU %d; want %d, that of the namespace %s", got, mtu[c.from], c.from)
			}
			p.Del(t)
			p.ExpectGone(t)
		})
	}
	t.Run("a hot ADD uses the same", func(t *testing.T) {
		p := tn.NewAnnotatedPod(t, nil)
		p.Add(t)
		p.HotAdd(t, "green")
		p.HotAdd(t, "blue")
		if green, blue := p.Link(t, kactustest.GreenIfName).Attrs().MTU,
			p.Link(t, kactustest.BlueIfName).Attrs().MTU; green != mtu[tn.Namespace] || blue != mtu[shared] {
			t.Errorf("MTUs %d and %d; want %d and %d", green, blue, mtu[tn.Namespace], mtu[shared])
		}
		p.Del(t)
		p.ExpectGone(t)
	})
}

func TestAdd_NamespaceIsolation(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	shared, foreign := tn.NewNamespace(t, "shared"), tn.NewNamespace(t, "foreign")
	for _, namespace := range []string{shared, foreign} {
		kactustest.Create(t, kactustest.NetworksPath(namespace),
			kactustest.NetworkObject("green", kactustest.NetworkSpec{Config: "{" + tn.BridgeConfig(t, "green") + "}"}))
	}
	tn.Conf.NetworkNamespace, tn.Conf.NamespaceIsolation = shared, true
	t.Run("refuses another namespace's network", func(t *testing.T) {
		p := tn.NewPod(t, `[{"name":"green","namespace":"`+foreign+`"}]`)
		requests := kactustest.Requests(t, foreign, func() {
			kactustest.ExpectError(t, p.AddError(t), 103, "green",
				foreign)
		})
		kactustest.ExpectSame(t, "requests", requests, nil)
		p.ExpectUntouched(t)
	})
}
