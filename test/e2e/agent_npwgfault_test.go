package e2e

import (
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

func TestAgent_NPWGBrokenAnnotation(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.Conf.NamespaceIsolation = true
	tn.CreateBridgeNADs(t, "net-a", "net-b")
	tn.StartNodeAgent(t)
	for _, test := range []struct{ name, key, networks, word string }{
		{"is no JSON", kactustest.NPWGAnnotation, `[{"name":"net-b"`, "JSON"},
		{"has an interface twice", kactustest.NPWGAnnotation, "net-a@x1,net-b@x1", "x1"},
		{"has the interface of the default network", kactustest.NPWGAnnotation, "net-a,net-b@eth0", "eth0"},
		{"has a wrong address", kactustest.NPWGAnnotation, `[{"name":"net-b","mac":"x"}]`, "mac"},
		{"has a foreign namespace", kactustest.NPWGAnnotation, "net-a,no-ns/net-b", "no-ns"},
		{"names two default networks", kactustest.DefaultNetworkAnnotation, "net-a,net-b", "default-network"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newRunningNPWGPod(t, tn, "net-a")
			before := p.Indices(t)
			p.PatchAnnotations(t, map[string]any{test.key: test.networks})
			c := p.EventuallyCondition(t, "False", "InvalidAnnotation")
			expectWords(t, c.Message, test.key, test.word)
			p.EventuallyEvent(t, "FailedAddingInterface", test.word)
			p.ExpectInterfaces(t, "eth0", "net1")
			p.ExpectKept(t, before, "eth0", "net1")
			p.PatchAnnotations(t, map[string]any{test.key: nil, kactustest.NPWGAnnotation: "net-b"})
			p.EventuallyAttached(t, "eth0", "net1")
			p.EventuallyCondition(t, "True", "Attached")
			kactustest.Eventually(t, "net-b is attached", func() bool { return len(tn.Leases(t, "net-b")) == 1 })
			p.Del(t)
			p.ExpectGone(t)
		})
	}
	t.Run("has unknown keys, which the condition names", func(t *testing.T) {
		p := newRunningNPWGPod(t, tn, "net-a")
		p.AnnotateNPWG(t, `[{"name":"net-a","color":"red"},{"name":"net-b"}]`)
		p.EventuallyAttached(t, "eth0", "net1", "net2")
		kactustest.Eventually(t, "the condition names the key", func() bool {
			c := p.NetworksAttached(t)
			return c.Status == "True" && strings.Contains(c.Message, "color")
		})
		p.Del(t)
		p.ExpectGone(t)
	})
}

func TestAgent_NPWGFailsVisibly(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNADs(t, "net-a")
	tn.CreateNAD(t, "disk", "")
	dir := newConfDir(t, tn, nil)
	tn.StartNodeAgent(t)
	for _, test := range []struct {
		name, networks string
		words          []string
		mend           func()
		want           []string
	}{
		{"a NetworkAttachmentDefinition that appears later", "net-a,later", []string{"later", tn.Namespace},
			func() { tn.CreateBridgeNADs(t, "later") }, []string{"eth0", "net1", "net2"}},
		{"a configuration that appears on the disk later", "net-a,disk@disk0", []string{"disk", dir},
			func() {
				newFile(t, dir+"/10-disk.conf",
					`{"cniVersion": "1.0.0", "name": "disk", `+tn.BridgeConfig(t, "disk")+`}`)
			}, []string{"eth0", "net1", "disk0"}},
		{"a capability that is declared later", `[{"name":"net-a"},{"name":"plain","mac":"` + tn.UniqueMAC(7) + `"}]`,
			[]string{"plain", "mac", "macvlan"}, func() {
				kactustest.Delete(t, kactustest.NADsPath(tn.Namespace), "plain")
				tn.CreateNAD(t, "plain", kactustest.MacvlanConfig(`{}`, "mac"))
			}, []string{"eth0", "net1", "net2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if strings.Contains(test.networks, "plain") {
				tn.CreateNAD(t, "plain", kactustest.MacvlanConfig(`{}`))
			}
			p := newRunningNPWGPod(t, tn, "net-a")
			before := p.Indices(t)
			p.AnnotateNPWG(t, test.networks)
			p.EventuallyEvent(t, "FailedAddingInterface", test.words...)
			p.EventuallyCondition(t, "False", "FailedAddingInterface")
			p.ExpectInterfaces(t, "eth0", "net1")
			test.mend()
			p.EventuallyAttached(t, test.want...)
			p.EventuallyCondition(t, "True", "Attached")
			p.ExpectKept(t, before, "eth0", "net1")
			p.Del(t)
			p.ExpectGone(t)
		})
	}
}
