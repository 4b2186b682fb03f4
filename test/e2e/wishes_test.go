package e2e

import (
	"fmt"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

// unused is a MAC address that no other tenant has: the kernel wants those of one uplink's macvlan devices to differ.
func (tn *tenant) unused(n int) string {
	return fmt.Sprintf("0a:00:00:%02x:%02x:%02x", tn.number/256, tn.number%256, n)
}

func TestIfMac(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	someMAC := tn.unused(1)
	tn.network(t, "green", `{"type": "macvlan", "master": "`+node.Uplink+`", "ipam": `+tn.hostLocal(t)+`, "capabilities": {"mac": true}}`)
	for what, attach := range map[string]func(t *testing.T, p *pod){
		"of an ADD":    func(t *testing.T, p *pod) { p.add(t) },
		"of a hot ADD": func(t *testing.T, p *pod) { expectInterface(t, p.hotAddMAC(t, "green", someMAC), greenDevice, someMAC) },
	} {
		t.Run(what, func(t *testing.T) {
			p := tn.pod(t, `[{"name":"green","ifMac":"`+someMAC+`"}]`)
			if what == "of a hot ADD" {
				p = tn.podWith(t, nil)
				p.add(t)
			}
			attach(t, p)
			if got := p.mac(t, greenDevice); got != someMAC {
				t.Errorf("%s has the address %s; want %s", greenDevice, got, someMAC)
			}
			if len(p.addrs(t, greenDevice)) != 1 {
				t.Errorf("%s has the addresses %q; want one", greenDevice, p.addrs(t, greenDevice))
			}
			p.del(t)
			p.expectGone(t)
		})
	}
}

func TestIPs(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	tn.network(t, "green", `{"type": "macvlan", "master": "`+node.Uplink+`", "capabilities": {"ips": true}, "ipam": {"type": "static"}}`)
	t.Run("may be of both families", func(t *testing.T) {
		p := tn.pod(t, `[{"name":"green","ips":["192.168.42.10/24","fd00:42::10/64"]}]`)
		p.add(t)
		expectSame(t, "addresses", p.addrs(t, greenDevice), []string{"192.168.42.10/24", "fd00:42::10/64"})
		p.del(t)
		p.expectGone(t)
	})
}
