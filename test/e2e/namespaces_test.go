package e2e

import (
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

func TestNamespaces(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	shared, foreign := tn.makeNamespace(t, "shared"), tn.makeNamespace(t, "foreign")
	tn.conf.NetworkNamespace = shared
	// A network of one name everywhere, told apart by its MTU.
	mtu := map[string]int{tn.namespace: 1401, shared: 1402, foreign: 1403}
	in := func(namespace, name, mtu string) {
		config := `{"type": "macvlan", "master": "` + node.Uplink + `", "mtu": ` + mtu + `}`
		create(t, networksPath(namespace), networkObject(name, networkSpec{Config: config}))
	}
	in(tn.namespace, "green", "1401")
	in(shared, "green", "1402")
	in(foreign, "green", "1403")
	in(shared, "blue", "1402")
	in(foreign, "data", "1403")

	for _, c := range []struct{ what, annotation, device, from string }{
		{"the Pod's own comes first", `[{"name":"green"}]`, greenDevice, tn.namespace},
		{"one that the selection names is taken", `[{"name":"green","namespace":"` + foreign + `"}]`, greenDevice, foreign},
		{"networkNamespace is where a network is that the Pod's own has not", `[{"name":"blue"}]`, blueDevice, shared},
		{"an empty one is none", `[{"name":"green","namespace":""}]`, greenDevice, tn.namespace},
	} {
		t.Run(c.what, func(t *testing.T) {
			p := tn.pod(t, c.annotation)
			p.add(t)
			p.expectDevices(t, "eth0", c.device)
			if got := p.link(t, c.device).Attrs().MTU; got != mtu[c.from] {
				t.Errorf("MTU %d; want %d, that of the namespace %s", got, mtu[c.from], c.from)
			}
			p.del(t)
			p.expectGone(t)
		})
	}
	t.Run("a hot network is looked for in the same", func(t *testing.T) {
		p := tn.podWith(t, nil)
		p.add(t)
		p.hotAdd(t, "green")
		p.hotAdd(t, "blue")
		if green, blue := p.link(t, greenDevice).Attrs().MTU, p.link(t, blueDevice).Attrs().MTU; green != mtu[tn.namespace] || blue != mtu[shared] {
			t.Errorf("MTUs %d and %d; want %d and %d", green, blue, mtu[tn.namespace], mtu[shared])
		}
		p.del(t)
		p.expectGone(t)
	})
}

func TestNamespaceIsolation(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	shared, foreign := tn.makeNamespace(t, "shared"), tn.makeNamespace(t, "foreign")
	for _, namespace := range []string{shared, foreign} {
		create(t, networksPath(namespace), networkObject("green", networkSpec{Config: "{" + tn.bridge(t, "green") + "}"}))
	}
	tn.conf.NetworkNamespace, tn.conf.NamespaceIsolation = shared, true
	t.Run("refuses another namespace's network", func(t *testing.T) {
		p := tn.pod(t, `[{"name":"green","namespace":"`+foreign+`"}]`)
		asked := requests(t, foreign, func() { expectError(t, p.addError(t), 103, "green", foreign) })
		expectSame(t, "requests", asked, nil)
		p.expectUntouched(t)
	})
}
