package nullipam

import (
	"net"
	"testing"

	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
)

func TestFormAddress(t *testing.T) {
	at := attachment{containerID: "c1", ifName: "net1"}
	derived := deriveAddress(at, "green")
	link := func(mac string) netlink.LinkAttrs {
		addr, _ := net.ParseMAC(mac) // nil for ""
		return netlink.LinkAttrs{Name: "net1", HardwareAddr: addr}
	}
	tests := []struct {
		name string
		link netlink.Link
		want string
	}{
		{"a local MAC address", &netlink.Vlan{LinkAttrs: link("0a:58:c0:a8:2b:0a")}, "fe80::858:c0ff:fea8:2b0a/64"},
		{"a universal one", &netlink.Device{LinkAttrs: link("00:1b:21:00:00:01")}, "fe80::21b:21ff:fe00:1/64"},
		{"that of the master", &netlink.IPVlan{LinkAttrs: link("0a:58:c0:a8:2b:0a")}, derived.String()},
		{"an InfiniBand address", &netlink.IPoIB{
			LinkAttrs: link("80:00:00:48:fe:80:00:00:00:00:00:00:f4:52:14:03:00:7b:cb:a1"),
		}, derived.String()},
		{"none", &netlink.Tuntap{LinkAttrs: link("")}, derived.String()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := formAddress(tt.link, at, "green")
			if got.String() != tt.want {
				t.Errorf("%s; want %s", &got, tt.want)
			}
		})
	}
}

func TestDeriveAddress_IsOfOneAttachment(t *testing.T) {
	at := attachment{containerID: "c1", ifName: "net1", netns: "/run/netns/a"}
	first := deriveAddress(at, "green")
	if !isLinkLocal(first.IP) || first.IP.Equal(net.ParseIP(gateway)) {
		t.Errorf("not the address of a host: %s", &first)
	}
	at.netns = "/run/netns/b"
	if again := deriveAddress(at, "green"); !sameAddress(again, first) {
		t.Errorf("%s, then %s", &first, &again)
	}
	for _, other := range []attachment{{containerID: "c2", ifName: "net1"}, {containerID: "c1", ifName: "net2"}} {
		if got := deriveAddress(other, "green"); sameAddress(got, first) {
			t.Errorf("%+v: %s, too", other, &got)
		}
	}
	if got := deriveAddress(at, "blue"); sameAddress(got, first) {
		t.Errorf("blue: %s, too", &got)
	}
}

func TestLinkLocalOf(t *testing.T) {
	parse := func(cidr string) net.IPNet {
		ip, subnet, err := net.ParseCIDR(cidr)
		if err != nil {
			t.Fatal(err)
		}
		return net.IPNet{IP: ip, Mask: subnet.Mask}
	}
	tests := []struct {
		name  string
		cidr  string
		index *int
		want  bool
	}{
		{"on the interface", "fe80::5/64", types100.Int(1), true},
		{"of an IPAM plugin, without an interface", "fe80::5/64", nil, true},
		{"on the other end", "fe80::5/64", types100.Int(0), false},
		{"on an interface that is not listed", "fe80::5/64", types100.Int(2), false},
		{"on an interface below zero", "fe80::5/64", types100.Int(-1), false},
		{"a global address", "fd10:42::1/64", types100.Int(1), false},
		{"an IPv4 link-local address", "169.254.1.1/16", types100.Int(1), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			result := &cniconf.Result{
				Interfaces: []*types100.Interface{{Name: "veth1"}, {Name: "net1"}},
				IPs:        []*types100.IPConfig{{Address: parse(tt.cidr), Interface: tt.index}},
			}
			got := linkLocalOf(result, "net1")
			if found := len(got) == 1 && got[0].String() == tt.cidr; found != tt.want || len(got) > 1 {
				t.Errorf("%v; want it: %v", got, tt.want)
			}
		})
	}
}
