package e2e

import (
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

func TestAdd_NullIPAM(t *testing.T) {
	t.Parallel()
	const bridge = "null-br"
	t.Cleanup(func() {
		link, err := netlink.LinkByName(bridge)
		kactustest.Must(t, err)
		kactustest.Must(t, netlink.LinkDel(link))
	})
	for _, tt := range []struct{ name, config string }{
		{"macvlan", `{"type": "macvlan", "master": "` + node.Uplink + `", "ipam": {"type": "null"}}`},
		{"bridge", `{"type": "bridge", "bridge": "` + bridge + `", "ipam": {"type": "null"}}`},
		{"ptp", `{"type": "ptp", "ipam": {"type": "null"}}`},
		{"version 0.2.0", `{"cniVersion": "0.2.0", "type": "macvlan", "master": "` + node.Uplink +
			`", "ipam": {"type": "null"}}`},
	} {
		t.Run("leaves the addresses to the application: "+tt.name, func(t *testing.T) {
			tn := kactustest.NewTenant(t)
			tn.CreateNetwork(t, "green", tt.config)
			p := tn.NewPod(t, `[{"name":"green"}]`)
			p.Add(t)
			expectLinkLocalAlone(t, p)
			if err := p.CheckWith(t, p.Conf, p.Runtime()); err != nil {
				t.Errorf("CHECK: %v", err)
			}
			p.HotDel(t, "green")
			p.HotAdd(t, "green")
			expectLinkLocalAlone(t, p)
			p.Del(t)
			p.ExpectGone(t)
		})
	}
	t.Run("forms the address from the requested MAC address", func(t *testing.T) {
		tn := kactustest.NewTenant(t)
		tn.CreateNetwork(t, "green", `{"type": "macvlan", "master": "`+node.Uplink+`", "ipam": {"type": "null"}}`)
		mac := tn.UniqueMAC(1) // 0a:00:00:…
		p := tn.NewPod(t, `[{"name":"green","ifMac":"`+mac+`"}]`)
		p.Add(t)
		for _, address := range expectLinkLocalAlone(t, p) {
			if !strings.HasPrefix(address, "fe80::800:ff:fe") {
				t.Errorf("%s is not formed from %s", address, mac)
			}
		}
		p.Del(t)
		p.ExpectGone(t)
	})
}

// expectLinkLocalAlone returns the IPv6 link-local addresses of the Pod's interface of green. It
// fails if there is none, or an address of another kind.
func expectLinkLocalAlone(t *testing.T, p *kactustest.Pod) (found []string) {
	t.Helper()
	p.ExpectInterfaces(t, "eth0", kactustest.GreenIfName)
	if got := p.Addrs(t, kactustest.GreenIfName); len(got) != 0 {
		t.Errorf("%s has the addresses %q", kactustest.GreenIfName, got)
	}
	link := p.Link(t, kactustest.GreenIfName)
	p.InNetns(t, func(h *netlink.Handle) {
		addrs, err := h.AddrList(link, netlink.FAMILY_V6)
		kactustest.Must(t, err)
		for _, addr := range addrs {
			found = append(found, addr.IPNet.String())
		}
	})
	if len(found) == 0 {
		t.Errorf("%s has no link-local address", kactustest.GreenIfName)
	}
	return found
}
