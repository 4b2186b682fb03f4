package e2e

import (
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"0.4.0", "1.0.0", "1.1.0"} {
		t.Run("passes after an ADD, in the version "+version, func(t *testing.T) {
			tn := kactustest.NewTenant(t)
			tn.Conf.CNIVersion = version
			tn.CreateBridgeNetworks(t, "green", "blue")
			// 0.3.1 has no CHECK.
			tn.CreateNetwork(t, "data", `{"cniVersion": "0.3.1", "type": "macvlan", "master": "`+node.Uplink+`"}`)
			p := tn.NewPod(t, `[{"name":"green","ifMac":"`+tn.UniqueMAC(1)+`"},{"name":"data"}]`)
			p.Add(t)
			p.HotAdd(t, "green") // attached already
			p.HotAdd(t, "blue")
			for _, c := range []kactustest.Call{p.Runtime(), p.Agent("green", ""), p.Agent("blue", "")} {
				if err := p.CheckWith(t, p.Conf, c); err != nil {
					t.Errorf("CHECK of %s: %v", c.IfName, err)
				}
			}
			p.Del(t)
			p.ExpectGone(t)
		})
	}
	t.Run("reports a lost hot network where it is named alone", func(t *testing.T) {
		tn := kactustest.NewTenant(t)
		tn.CreateBridgeNetworks(t, "green", "blue")
		p := tn.NewPod(t, `[{"name":"green"}]`)
		p.Add(t)
		p.HotAdd(t, "blue")
		p.DeleteLink(t, kactustest.BlueIfName)
		kactustest.ExpectError(t, kactustest.CNIError(t, p.CheckWith(t, p.Conf, p.Agent("blue", ""))), 107,
			kactustest.BlueIfName)
		if err := p.CheckWith(t, p.Conf, p.Runtime()); err != nil { // which only its ADD's networks can fail
			t.Errorf("CHECK of the Pod: %v", err)
		}
		p.Del(t)
		p.ExpectGone(t)
	})
}
