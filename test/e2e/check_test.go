package e2e

import (
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"0.4.0", "1.0.0", "1.1.0"} {
		t.Run("passes after an ADD, in the version "+version, func(t *testing.T) {
			tn := newTenant(t)
			tn.conf.CNIVersion = version
			tn.bridges(t, "green", "blue")
			tn.network(t, "data", `{"cniVersion": "0.3.1", "type": "macvlan", "master": "`+node.Uplink+`"}`) // which has no CHECK
			p := tn.pod(t, `[{"name":"green","ifMac":"`+tn.unused(1)+`"},{"name":"data"}]`)
			p.add(t)
			p.hotAdd(t, "green") // which is there, and answers with its result
			p.hotAdd(t, "blue")
			for _, c := range []call{p.runtime(), p.agent("green", ""), p.agent("blue", "")} {
				if err := p.libcniCheck(t, p.conf, c); err != nil {
					t.Errorf("CHECK of %s: %v", c.device, err)
				}
			}
			p.del(t)
			p.expectGone(t)
		})
	}
	t.Run("finds that the device of a hot network is gone", func(t *testing.T) {
		tn := newTenant(t)
		tn.bridges(t, "green", "blue")
		p := tn.pod(t, `[{"name":"green"}]`)
		p.add(t)
		p.hotAdd(t, "blue")
		in(t, p.netns, func(h handle) { succeed(t, h.LinkDel(p.link(t, blueDevice))) })
		expectError(t, cniError(t, p.libcniCheck(t, p.conf, p.runtime())), 107, blueDevice)
		p.del(t)
		p.expectGone(t)
	})
}

func succeed(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
