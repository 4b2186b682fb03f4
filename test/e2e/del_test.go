package e2e

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// A DEL must undo what the ADD made, whatever became of all that the ADD knew.
func TestDel(t *testing.T) {
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
		{"the netconf's version changed", func(t *testing.T, p *kactustest.Pod) { p.Conf.CNIVersion = "0.3.1" }},
	} {
		t.Run("undoes a Pod after "+c.what, func(t *testing.T) {
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

func TestDelByHand(t *testing.T) {
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

func TestDelWithBrokenNetconf(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	p := tn.NewPod(t, `[{"name":"green"}]`)
	p.Add(t)
	conf := json.RawMessage(`{"cniVersion": "1.0.0", "name": "` + kactustest.DefaultNetwork + `", "type": "kactus", "cniDir": "` + p.Conf.CNIDir + `", "delegates": "green"}`)
	if _, err := p.Start(t, "DEL", conf, p.Runtime()).Wait(t); err != nil {
		t.Errorf("DEL: %v", err)
	}
	p.ExpectGone(t)
}

func TestDelAgain(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	t.Run("of a container whose record was lost undoes what the netconf makes", func(t *testing.T) {
		p := tn.NewAnnotatedPod(t, nil)
		p.Add(t)
		if err := os.Remove(p.RecordPath()); err != nil {
			t.Fatal(err)
		}
		p.Del(t)
		p.ExpectGone(t)
	})
}

func TestDelWithoutNetns(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	t.Run("leaves a namespace alone that another Pod got at the same path", func(t *testing.T) {
		p := tn.NewPod(t, `[{"name":"green"}]`)
		p.Add(t)
		old, err := os.Open(p.Netns) // keeps it alive, so that the kernel does not give its number to the next
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
			t.Error("the other Pod's device is another")
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
