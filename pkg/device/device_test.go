package device

import (
	"errors"
	"fmt"
	"net"
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

const wanted = network.MAC("0a:00:00:00:00:01")

// devices are the kinds that delegates make most: each makes eth0 in a Pod, up, with an address and a route.
var devices = map[string]func(t *testing.T, links *netlink.Handle) netlink.Link{
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

func TestAMACAddressIsSetOnADeviceThatKeepsItsAddressesAndRoutes(t *testing.T) {
	for name, make := range devices {
		t.Run(name, func(t *testing.T) {
			pod := netnstest.New(t)
			links := pod.Links(t)
			link := make(t, links)
			must(t, links.LinkAdd(link))
			if far, err := links.LinkByName("far"); err == nil {
				must(t, links.LinkSetUp(far))
			}
			must(t, links.LinkSetUp(link))
			must(t, links.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(10, 0, 0, 5), Mask: net.CIDRMask(24, 32)}}))
			must(t, links.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: &net.IPNet{IP: net.IPv4(10, 9, 0, 0).To4(), Mask: net.CIDRMask(16, 32)}, Gw: net.IPv4(10, 0, 0, 1)}))
			before := routes(t, links)

			n := openAt(t, pod.Path)
			old, err := n.MAC("eth0")
			if err != nil || string(old) != pod.MAC(t, "eth0") {
				t.Fatalf("the address is %s, not %s: %v", pod.MAC(t, "eth0"), old, err)
			}
			must(t, n.SetMAC("eth0", wanted))
			if got, err := n.MAC("eth0"); err != nil || got != wanted || pod.MAC(t, "eth0") != string(wanted) {
				t.Errorf("it has %s: %v", got, err)
			}
			if up := pod.Link(t, "eth0").Attrs().Flags & net.FlagUp; up == 0 {
				t.Error("it is down")
			}
			if got := fmt.Sprint(pod.IPv4(t, "eth0")); got != "[10.0.0.5/24]" {
				t.Errorf("its addresses are %s", got)
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
		text += fmt.Sprintf("%s via %s, device %d\n", route.Dst, route.Gw, route.LinkIndex)
	}
	return text
}

func TestADeviceThatIsNotThereIsAbsent(t *testing.T) {
	pod := netnstest.New(t)
	n := openAt(t, pod.Path)
	_, err := n.MAC("eth0")
	for _, err := range []error{err, n.SetMAC("eth0", wanted)} {
		if !errors.Is(err, ErrAbsent) || !strings.Contains(err.Error(), "eth0 in "+pod.Path) {
			t.Errorf("got %v", err)
		}
	}
}

func TestADeviceOfTheNodeIsNotTheNamespaces(t *testing.T) {
	must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: named("eth0")}))
	t.Cleanup(func() { _ = netlink.LinkDel(&netlink.Bridge{LinkAttrs: named("eth0")}) })
	if _, err := openAt(t, netnstest.New(t).Path).MAC("eth0"); !errors.Is(err, ErrAbsent) {
		t.Errorf("got %v", err)
	}
}

func TestADeviceIsSeenThatCameAfterTheNamespaceWasOpened(t *testing.T) {
	pod := netnstest.New(t)
	n := openAt(t, pod.Path)
	must(t, pod.Links(t).LinkAdd(&netlink.Bridge{LinkAttrs: named("eth0")}))
	if mac, err := n.MAC("eth0"); err != nil || string(mac) != pod.MAC(t, "eth0") {
		t.Errorf("got %s, %v", mac, err)
	}
}

func TestAnAddressThatADeviceCannotHaveIsRefused(t *testing.T) {
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
		t.Errorf("it has %s", got)
	}
}

func TestAPathWithoutANamespaceCannotBeOpened(t *testing.T) {
	for _, path := range []string{"/run/netns/there-is-none", "/proc/self/status", ""} {
		n, err := Open(path)
		if err == nil {
			n.Close()
			t.Errorf("%q was opened", path)
		} else if !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func openAt(t *testing.T, path string) *Namespace {
	t.Helper()
	n, err := Open(path)
	must(t, err)
	t.Cleanup(n.Close)
	return n
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
