package e2e

import (
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

func TestAdd_MAC(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	someMAC := tn.UniqueMAC(1)
	tn.CreateNetwork(t, "green", `{"type": "macvlan", "master": "`+node.Uplink+`", "ipam": `+tn.HostLocal(t)+
		`, "capabilities": {"mac": true}}`)
	for what, attach := range map[string]func(t *testing.T) *kactustest.Pod{
		"of an ADD": func(t *testing.T) *kactustest.Pod {
			p := tn.NewPod(t, `[{"name":"green","ifMac":"`+someMAC+`"}]`)
			p.Add(t)
			return p
		},
		"of a hot ADD": func(t *testing.T) *kactustest.Pod {
			p := tn.NewAnnotatedPod(t, nil)
			p.Add(t)
			kactustest.ExpectResult(t, p.HotAddMAC(t, "green", someMAC), kactustest.GreenIfName, someMAC)
			return p
		},
	} {
		t.Run(what, func(t *testing.T) {
			p := attach(t)
			if got := p.MAC(t, kactustest.GreenIfName); got != someMAC {
				t.Errorf("MAC address of green: %s; want %s", got, someMAC)
			}
			if got := p.Addrs(t, kactustest.GreenIfName); len(got) != 1 {
				t.Errorf("addresses of green: %q; want one", got)
			}
			p.Del(t)
			p.ExpectGone(t)
		})
	}
}

func TestAdd_IPs(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateNetwork(t, "green", `{"type": "macvlan", "master": "`+node.Uplink+
		`", "capabilities": {"ips": true}, "ipam": {"type": "static"}}`)
	t.Run("of both families", func(t *testing.T) {
		p := tn.NewPod(t, `[{"name":"green","ips":["192.168.42.10/24","fd00:42::10/64"]}]`)
		p.Add(t)
		kactustest.ExpectSame(t, "addresses", p.Addrs(t, kactustest.GreenIfName),
			[]string{"192.168.42.10/24", "fd00:42::10/64"})
		p.Del(t)
		p.ExpectGone(t)
	})
}
