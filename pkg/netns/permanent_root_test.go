//go:build root

package netns

import (
	"errors"
	"net"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
)

// hardware is a kernel on which some interfaces, by name, have a permanent MAC address, as those of
// network cards have.
type hardware struct {
	links
	permanent map[string]network.MAC
}

func (h hardware) LinkList() ([]netlink.Link, error) {
	all, err := h.links.LinkList()
	for _, link := range all {
		link.Attrs().PermHWAddr, _ = net.ParseMAC(string(h.permanent[link.Attrs().Name]))
	}
	return all, err
}

func TestNamespace_SetPermanentMAC(t *testing.T) {
	const permanent, other = network.MAC("0a:00:00:00:00:09"), network.MAC("0a:00:00:00:00:0b")
	tests := []struct {
		name string
		// now and permanent are the addresses of each interface.
		now, permanent map[string]network.MAC
		want           string // the interface that is changed; empty for none
	}{
		{"the one", map[string]network.MAC{"a": wantMAC, "b": wantMAC, "c": permanent, "d": other},
			map[string]network.MAC{"a": permanent, "b": other, "d": permanent}, "a"},
		{"no permanent address is known", map[string]network.MAC{"a": wantMAC}, nil, ""},
		{"changed by somebody else since", map[string]network.MAC{"a": other},
			map[string]network.MAC{"a": permanent}, ""},
		{"two of them", map[string]network.MAC{"a": wantMAC, "b": wantMAC},
			map[string]network.MAC{"a": permanent, "b": permanent}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pod := netnstest.New(t)
			for name, mac := range tt.now {
				attrs := named(name)
				attrs.HardwareAddr, _ = net.ParseMAC(string(mac))
				must(t, pod.Links(t).LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
			}
			n := openAt(t, pod.Path)
			n.handle = hardware{links: n.handle, permanent: tt.permanent}
			got, err := n.SetPermanentMAC(wantMAC, permanent)
			if got != tt.want || errors.Is(err, ErrNoInterface) != (tt.want == "") {
				t.Errorf("got %q, %v", got, err)
			}
			for name, mac := range tt.now {
				if name == tt.want {
					mac = permanent
				}
				if now := pod.MAC(t, name); now != string(mac) {
					t.Errorf("%s has %s, not %s", name, now, mac)
				}
			}
		})
	}
}
