//go:build root

package nullipam

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
)

// A delegate is a main plugin that uses null, and a container that it is called for.
type delegate struct {
	pod
	plugin string
	conf   string
}

func (d delegate) args(operation string) *invoke.Args {
	return &invoke.Args{Command: operation, ContainerID: "c1", NetNS: d.Path, IfName: ifName, Path: pluginDir}
}

func (d delegate) add(t *testing.T) types.Result {
	t.Helper()
	result, err := invoke.ExecPluginWithResult(t.Context(), filepath.Join(pluginDir, d.plugin), []byte(d.conf),
		d.args("ADD"), nil)
	if err != nil {
		t.Fatalf("ADD of %s: %v", d.plugin, err)
	}
	return result
}

func (d delegate) run(t *testing.T, operation, conf string) error {
	t.Helper()
	return invoke.ExecPluginWithoutResult(t.Context(), filepath.Join(pluginDir, d.plugin), []byte(conf),
		d.args(operation), nil)
}

// check runs CHECK with the result of the ADD.
func (d delegate) check(t *testing.T, result types.Result, version string) error {
	t.Helper()
	converted, err := types100.NewResultFromResult(result)
	must(t, err)
	encoded, err := cniconf.EncodeResult(converted, version)
	must(t, err)
	return d.run(t, "CHECK", strings.Replace(d.conf, "{", fmt.Sprintf(`{"prevResult": %s, `, encoded), 1))
}

func confOf(version, plugin, keys string) string {
	return `{"cniVersion": "` + version + `", "name": "green", "type": "` + plugin + `", ` + keys +
		`"ipam": {"type": "null"}}`
}

func TestMainPlugins(t *testing.T) {
	uplink := uplink(t)
	for _, tt := range []struct {
		name, plugin, keys string
		addresses          int // link-local ones
	}{
		{"macvlan", "macvlan", `"master": "` + uplink + `", `, 1},
		{"macvlan with a MAC address", "macvlan", `"master": "` + uplink + `", "mac": "0a:58:c0:a8:2b:0a", `, 1},
		{"bridge", "bridge", `"bridge": "null-br", `, 1},
		{"bridge with duplicate address detection", "bridge", `"bridge": "null-br", "enabledad": true, `, 1},
		// The other one is the kernel's: null is called before the interface is there.
		{"ptp", "ptp", "", 2},
		{"host-device", "host-device", `"device": "lent", `, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := delegate{newPod(t), tt.plugin, confOf("1.1.0", tt.plugin, tt.keys)}
			lend(t)
			must(t, d.run(t, "STATUS", d.conf))
			result := d.add(t)
			address := onlyAddress(t, result)
			if all := d.linkLocal(t); !slices.Contains(all, address) || len(all) != tt.addresses {
				t.Errorf("the interface has %q; want %s, and %d in all", all, address, tt.addresses)
			}
			if tt.plugin != "ptp" && address != byMAC(d.Link(t, ifName)) {
				t.Errorf("%s; want %s", address, byMAC(d.Link(t, ifName)))
			}
			d.expectPermanent(t, address)
			must(t, d.check(t, result, "1.1.0"))
			d.remove(t, address)
			if err := d.check(t, result, "1.1.0"); err == nil || !strings.Contains(err.Error(), address) {
				t.Errorf("CHECK without the address: %v; want %s in it", err, address)
			}
			must(t, d.run(t, "DEL", d.conf))
			if left := d.Devices(t); len(left) != 0 {
				t.Errorf("DEL leaves %q", left)
			}
		})
	}
}

func TestMainPlugins_Versions(t *testing.T) {
	uplink := uplink(t)
	for _, version := range []string{"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"} {
		t.Run(version, func(t *testing.T) {
			d := delegate{newPod(t), "macvlan", confOf(version, "macvlan", `"master": "`+uplink+`", `)}
			result := d.add(t)
			if want := byMAC(d.Link(t, ifName)); onlyAddress(t, result) != want {
				t.Errorf("%v; want %s", result, want)
			}
			if cniconf.SupportsOperation(version, "CHECK") {
				must(t, d.check(t, result, version))
			}
			must(t, d.run(t, "DEL", d.conf))
		})
	}
}

func TestMainPlugins_PassTheErrorOn(t *testing.T) {
	d := delegate{newPod(t), "macvlan", confOf("1.1.0", "macvlan", `"mtu": 1279, "master": "`+uplink(t)+`", `)}
	_, err := invoke.ExecPluginWithResult(t.Context(), filepath.Join(pluginDir, d.plugin), []byte(d.conf),
		d.args("ADD"), nil)
	expectError(t, err, types.ErrIOFailure, "the kernel has no IPv6 on this interface", "1279")
	must(t, d.run(t, "DEL", d.conf))
}

// lend makes an interface of the node for host-device.
func lend(t *testing.T) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "lent-far"
	link := &netlink.Veth{LinkAttrs: attrs, PeerName: "lent"}
	must(t, netlink.LinkAdd(link))
	must(t, netlink.LinkSetUp(link))
	t.Cleanup(func() { must(t, netlink.LinkDel(link)) })
}

func onlyAddress(t *testing.T, result types.Result) string {
	t.Helper()
	r, err := types100.NewResultFromResult(result)
	must(t, err)
	if len(r.IPs) != 1 || !isLinkLocal(r.IPs[0].Address.IP) {
		t.Fatalf("not one link-local address: %v", r)
	}
	return r.IPs[0].Address.String()
}

// expectPermanent fails unless the address lasts for ever.
func (d delegate) expectPermanent(t *testing.T, cidr string) {
	t.Helper()
	addrs, err := d.links.AddrList(d.Link(t, ifName), netlink.FAMILY_V6)
	must(t, err)
	for _, addr := range addrs {
		const forever = 1<<32 - 1
		if addr.IPNet.String() == cidr && (addr.ValidLft != forever || addr.PreferedLft != forever) {
			t.Errorf("%s is valid for %d s and preferred for %d s", cidr, addr.ValidLft, addr.PreferedLft)
		}
	}
}

// remove takes an address from the interface.
func (d delegate) remove(t *testing.T, cidr string) {
	t.Helper()
	addr, err := netlink.ParseAddr(cidr)
	must(t, err)
	must(t, d.links.AddrDel(d.Link(t, ifName), addr))
}
