package e2e

import (
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

func TestIfMac(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	someMAC := tn.UniqueMAC(1)
	tn.CreateNetwork(t, "green", `{"type": "macvlan", "master": "`+node.Uplink+`", "ipam": `+tn.HostLocal(t)+`, "capabilities": {"mac": true}}`)
	for what, attach := range map[string]func(t *testing.T, p *kactustest.Pod){
		"of an ADD": func(t *testing.T, p *kactustest.Pod) { p.Add(t) },
		"of a hot ADD": func(t *testing.T, p *kactustest.Pod) {
			kactustest.ExpectResult(t, p.HotAddMAC(t, "green", someMAC), kactustest.GreenIfName, someMAC)
		},
	} {
		t.Run(what, func(t *testing.T) {
			p := tn.NewPod(t, `[{"name":"green","ifMac":"`+someMAC+`"}]`)
			if what == "of a hot ADD" {
				p = tn.NewAnnotatedPod(t, nil)
				p.Add(t)
			}
			attach(t, p)
			if got := p.MAC(t, kactustest.GreenIfName); got != someMAC {
				t.Errorf("%s has the address %s; want %s", kactustest.GreenIfName, got, someMAC)
			}
			if len(p.Addrs(t, kactustest.GreenIfName)) != 1 {
				t.Errorf("%s has the addresses %q; want one", kactustest.GreenIfName, p.Addrs(t, kactustest.GreenIfName))
			}
			p.Del(t)
			p.ExpectGone(t)
		})
	}
}

func TestIPs(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateNetwork(t, "green", `{"type": "macvlan", "master": "`+node.Uplink+`", "capabilities": {"ips": true}, "ipam": {"type": "static"}}`)
	t.Run("may be of both families", func(t *testing.T) {
		p := tn.NewPod(t, `[{"name":"green","ips":["192.168.42.10/24","fd00:42::10/64"]}]`)
		p.Add(t)
		kactustest.ExpectSame(t, "addresses", p.Addrs(t, kactustest.GreenIfName), []string{"192.168.42.10/24", "fd00:42::10/64"})
		p.Del(t)
		p.ExpectGone(t)
	})
}
