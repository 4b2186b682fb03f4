//go:build root

package netns

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
)

func TestMain(m *testing.M) {
	netnstest.Node()
	m.Run()
}

const wantMAC = network.MAC("0a:00:00:00:00:01")

// kinds are the kinds of interfaces that delegates make most, each as eth0 of a Pod.
var kinds = map[string]func(t *testing.T, links *netlink.Handle) netlink.Link{
	"veth": func(*testing.T, *netlink.Handle) netlink.Link {
		return &netlink.Veth{LinkAttrs: named("eth0"), PeerName: "far"}
	},
	"macvlan": func(t *testing.T, links *netlink.Handle) netlink.Link {
		uplink := &netlink.Veth{LinkAttrs: named("uplink"), PeerName: "far"}
		must(t, links.LinkAdd(uplink))
		must(t, links.LinkSetUp(uplink))
		attrs := named("eth0")
		attrs.ParentIndex = uplink.Index
		return &netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}
	},
}

func named(name string) netlink.LinkAttrs {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	return attrs
}

func TestNamespace_SetMAC_KeepsAddressesAndRoutes(t *testing.T) {
	for name, newLink := range kinds {
		t.Run(name, func(t *testing.T) {
			pod := netnstest.New(t)
			links := pod.Links(t)
			link := newLink(t, links)
			must(t, links.LinkAdd(link))
			if far, err := links.LinkByName("far"); err == nil {
				must(t, links.LinkSetUp(far))
			}
			must(t, links.LinkSetUp(link))
			address := &net.IPNet{IP: net.IPv4(10, 0, 0, 5), Mask: net.CIDRMask(24, 32)}
			must(t, links.AddrAdd(link, &netlink.Addr{IPNet: address}))
			destination := &net.IPNet{IP: net.IPv4(10, 9, 0, 0).To4(), Mask: net.CIDRMask(16, 32)}
			must(t, links.RouteAdd(&netlink.Route{
				LinkIndex: link.Attrs().Index, Dst: destination, Gw: net.IPv4(10, 0, 0, 1),
			}))
			before := routes(t, links)

			n := openAt(t, pod.Path)
			old, err := n.MAC("eth0")
			if err != nil || string(old) != pod.MAC(t, "eth0") {
				t.Fatalf("the address is %s, not %s: %v", pod.MAC(t, "eth0"), old, err)
			}
			must(t, n.SetMAC("eth0", wantMAC))
			if got, err := n.MAC("eth0"); err != nil || got != wantMAC || pod.MAC(t, "eth0") != string(wantMAC) {
				t.Errorf("got %s, %v", got, err)
			}
			if up := pod.Link(t, "eth0").Attrs().Flags & net.FlagUp; up == 0 {
				t.Error("the interface is down")
			}
			if got := fmt.Sprint(pod.IPv4(t, "eth0")); got != "[10.0.0.5/24]" {
				t.Errorf("the addresses are %s", got)
			}
			if after := routes(t, links); after != before || !strings.Contains(after, "10.9.0.0/16") {
				t.Errorf("the routes were\n%s\nand are\n%s", before, after)
			}
		})
	}
}

func routes(t *testing.T, links *netlink.Handle) string {
	t.Helper()
	all, err := links.RouteList(nil, netlink.FAMILY_V4)
	must(t, err)
	text := ""
	for _, route := range all {
		text += fmt.Sprintf("%s via %s, link %d\n", route.Dst, route.Gw, route.LinkIndex)
	}
	return text
}

func TestNamespace_NoInterface(t *testing.T) {
	pod := netnstest.New(t)
	n := openAt(t, pod.Path)
	_, macErr := n.MAC("eth0")
	_, addressesErr := n.Addresses("eth0")
	for _, err := range []error{macErr, addressesErr, n.SetMAC("eth0", wantMAC)} {
		if !errors.Is(err, ErrNoInterface) || !strings.Contains(err.Error(), "eth0 in "+pod.Path) {
			t.Errorf("got %v", err)
		}
	}

	t.Run("an interface of the node is not the Pod's", func(t *testing.T) {
		must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: named("eth0")}))
		t.Cleanup(func() { _ = netlink.LinkDel(&netlink.Bridge{LinkAttrs: named("eth0")}) })
		if _, err := n.MAC("eth0"); !errors.Is(err, ErrNoInterface) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("one that appears after the namespace was opened is found", func(t *testing.T) {
		must(t, pod.Links(t).LinkAdd(&netlink.Bridge{LinkAttrs: named("eth0")}))
		if mac, err := n.MAC("eth0"); err != nil || string(mac) != pod.MAC(t, "eth0") {
			t.Errorf("got %s, %v", mac, err)
		}
	})
}

func TestNamespace_SetMAC_RefusesInvalidAddresses(t *testing.T) {
	pod := netnstest.New(t)
	must(t, pod.Links(t).LinkAdd(&netlink.Bridge{LinkAttrs: named("eth0")}))
	n := openAt(t, pod.Path)
	before := pod.MAC(t, "eth0")
	for _, mac := range []network.MAC{"", "nonsense", "01:00:5e:00:00:01"} { // the last is a group address
		if err := n.SetMAC("eth0", mac); err == nil {
			t.Errorf("%q was set", mac)
		}
	}
	if got := pod.MAC(t, "eth0"); got != before {
		t.Errorf("the address changed to %s", got)
	}
}

func openAt(t *testing.T, path string) *Namespace {
	t.Helper()
	n, err := Open(path)
	must(t, err)
	t.Cleanup(n.Close)
	return n
}

func TestNamespace_Interfaces(t *testing.T) {
	for kind, newLink := range kinds {
		t.Run(kind, func(t *testing.T) {
			pod := netnstest.New(t)
			links := pod.Links(t)
			link := newLink(t, links)
			link.Attrs().HardwareAddr = net.HardwareAddr{0x0a, 0, 0, 0, 0, 1}
			link.Attrs().MTU = 1400
			must(t, links.LinkAdd(link))
			ns, err := Open(pod.Path)
			must(t, err)
			defer ns.Close()
			got, err := ns.Interfaces()
			want := Interface{Name: "eth0", MAC: wantMAC, Kind: kind, MTU: 1400}
			if err != nil || !slices.Contains(got, want) {
				t.Errorf("got %v, %v; want %v among them", got, err, want)
			}
		})
	}
}
