package e2e

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// DEL tears down what ADD made, whatever happened since to what the ADD read.
func TestDel_AfterChanges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what   string
		happen func(t *testing.T, p *kactustest.Pod)
	}{
		{"the Pod, its Networks and the kubeconfig were deleted", func(t *testing.T, p *kactustest.Pod) {
			kactustest.Delete(t, kactustest.NetworksPath(p.Namespace), "green")
			kactustest.Delete(t, kactustest.NetworksPath(p.Namespace), "blue")
			kactustest.Delete(t, kactustest.PodsPath(p.Namespace), p.Name)
			kactustest.Must(t, os.Remove(p.Conf.Kubeconfig))
		}},
		{"the netconf's version changed", func(_ *testing.T, p *kactustest.Pod) { p.Conf.CNIVersion = "0.3.1" }},
	} {
		t.Run("tears down a Pod after "+c.what, func(t *testing.T) {
			tn := kactustest.NewTenant(t)
			tn.CreateBridgeNetworks(t, "green", "blue")
			p := tn.NewPod(t, `[{"name":"green"},{"name":"blue"}]`)
			p.Add(t)
			p.ExpectInterfaces(t, "eth0", kactustest.GreenIfName, kactustest.BlueIfName)
			c.happen(t, p)
			p.Del(t)
			p.ExpectGone(t)
		})
	}
}

func TestDel_WithoutArgs(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	p := tn.NewPod(t, `[{"name":"green"}]`)
	p.Add(t)
	t.Run("needs neither CNI_ARGS nor CNI_NETNS", func(t *testing.T) {
		if _, err := p.Start(t, "DEL", p.Conf, kactustest.Call{IfName: "eth0"}).Wait(t); err != nil {
			t.Errorf("DEL: %v", err)
		}
		p.ExpectGone(t)
	})
}

func TestDel_BrokenNetconf(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	p := tn.NewPod(t, `[{"name":"green"}]`)
	p.Add(t)
	conf := json.RawMessage(`{"cniVersion": "1.0.0", "name": "` + kactustest.DefaultNetwork +
		`", "type": "kactus", "cniDir": "` + p.Conf.CNIDir + `", "delegates": "green"}`)
	if _, err := p.Start(t, "DEL", conf, p.Runtime()).Wait(t); err != nil {
		t.Errorf("DEL: %v", err)
	}
	p.ExpectGone(t)
}

func TestDel_LostRecord(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	t.Run("without a record tears down the netconf's delegates", func(t *testing.T) {
		p := tn.NewAnnotatedPod(t, nil)
		p.Add(t)
		if err := os.Remove(p.RecordPath()); err != nil {
			t.Fatal(err)
		}
		p.Del(t)
		p.ExpectGone(t)
	})
}

func TestDel_ReusedNetnsPath(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	t.Run("leaves another namespace at the same path alone", func(t *testing.T) {
		p := tn.NewPod(t, `[{"name":"green"}]`)
		p.Add(t)
		old, err := os.Open(p.Netns) // keeps the namespace alive, so that the kernel does not reuse its inode number
		if err != nil {
			t.Fatal(err)
		}
		defer old.Close()
		p.LoseNetns()
		p.MakeNetns(t)
		other := tn.NewPod(t, `[{"name":"green"}]`)
		other.Netns = p.Netns
		other.Add(t)
		before := other.Index(t, kactustest.GreenIfName)
		p.Del(t)
		p.ExpectNoRecord(t)
		if other.Index(t, kactustest.GreenIfName) != before {
			t.Error("the other Pod's interface was replaced")
		}
		other.ExpectInterfaces(t, "eth0", kactustest.GreenIfName)
		tn.ExpectLeases(t, "green", 1)
		if err := old.Close(); err != nil {
			t.Error(err)
		}
		other.Del(t)
		other.ExpectGone(t)
	})
}
