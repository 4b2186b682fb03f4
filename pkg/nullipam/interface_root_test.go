//go:build root

package nullipam

import (
	"encoding/json"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
)

// add runs ADD and returns the only address of the result.
func (p pod) add(t *testing.T) *types100.IPConfig {
	t.Helper()
	output, err := Run("ADD", environ("CNI_NETNS", p.Path), []byte(validConf))
	must(t, err)
	var result types100.Result
	must(t, json.Unmarshal(output, &result))
	if len(result.IPs) != 1 || len(result.Interfaces) != 0 {
		t.Fatalf("not one address alone: %s", output)
	}
	return result.IPs[0]
}

// byMAC returns the link-local address that the kernel forms from the interface's MAC address.
func byMAC(link netlink.Link) string {
	address := eui64(link.Attrs().HardwareAddr)
	return address.String()
}

func TestAdd_TakesTheAddressOfTheInterface(t *testing.T) {
	const none, random = "1", "3"
	tests := []struct {
		name    string
		prepare func(t *testing.T, p pod)
	}{
		{"down", func(*testing.T, pod) {}},
		{"up", func(t *testing.T, p pod) { must(t, p.links.LinkSetUp(p.Link(t, ifName))) }},
		{"IPv6 turned off", func(t *testing.T, p pod) { p.set(t, "disable_ipv6", "1") }},
		{"up, IPv6 turned off", func(t *testing.T, p pod) {
			p.set(t, "disable_ipv6", "1")
			must(t, p.links.LinkSetUp(p.Link(t, ifName)))
		}},
		{"up, IPv6 turned off later", func(t *testing.T, p pod) {
			must(t, p.links.LinkSetUp(p.Link(t, ifName)))
			p.set(t, "disable_ipv6", "1")
		}},
		{"the kernel gives no address", func(t *testing.T, p pod) { p.set(t, "addr_gen_mode", none) }},
		{"up, the kernel gives no address", func(t *testing.T, p pod) {
			p.set(t, "addr_gen_mode", none)
			must(t, p.links.LinkSetUp(p.Link(t, ifName)))
		}},
		{"up, the address was deleted", func(t *testing.T, p pod) {
			must(t, p.links.LinkSetUp(p.Link(t, ifName)))
			addrs, err := p.links.AddrList(p.Link(t, ifName), netlink.FAMILY_V6)
			must(t, err)
			for _, addr := range addrs {
				must(t, p.links.AddrDel(p.Link(t, ifName), &addr))
			}
		}},
		{"no duplicate address detection", func(t *testing.T, p pod) { p.set(t, "accept_dad", "0") }},
		{"strict duplicate address detection", func(t *testing.T, p pod) { p.set(t, "accept_dad", "2") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPod(t)
			link := p.newMacvlan(t, uplink(t))
			tt.prepare(t, p)
			got := p.add(t)
			if got.Address.String() != byMAC(link) || got.Gateway != nil {
				t.Errorf("%+v; want %s", got, byMAC(link))
			}
			p.expectTaken(t)
			p.put(t, got.Address.String())
		})
	}
	t.Run("an address that is not formed from the MAC address", func(t *testing.T) {
		p := newPod(t)
		link := p.newMacvlan(t, uplink(t))
		p.set(t, "addr_gen_mode", random)
		must(t, p.links.LinkSetUp(link))
		want := p.linkLocal(t)
		for range 2 {
			if got := p.add(t).Address.String(); !slices.Equal(want, []string{got}) || got == byMAC(link) {
				t.Errorf("%s; want %s", got, want)
			}
			p.expectTaken(t)
		}
	})
}

// expectTaken fails unless the interface is up, has IPv6 and no link-local address.
func (p pod) expectTaken(t *testing.T) {
	t.Helper()
	if !p.isUp(t) || p.get(t, "disable_ipv6") != "0" {
		t.Errorf("up: %v; disable_ipv6: %s", p.isUp(t), p.get(t, "disable_ipv6"))
	}
	if left := p.linkLocal(t); left != nil {
		t.Errorf("the interface still has %q", left)
	}
}

func TestAdd_Again(t *testing.T) {
	p := newPod(t)
	link := p.newMacvlan(t, uplink(t))
	for _, state := range []string{"first", "the address was not put back", "the address was put back"} {
		got := p.add(t).Address.String()
		if got != byMAC(link) {
			t.Errorf("%s: %s; want %s", state, got, byMAC(link))
		}
		p.expectTaken(t)
		if state == "the address was not put back" {
			p.put(t, got)
		}
	}
}

func TestAdd_LeavesOtherAddresses(t *testing.T) {
	p := newPod(t)
	link := p.newMacvlan(t, uplink(t))
	must(t, p.links.LinkSetUp(link))
	p.put(t, "fd10:42::1/64")
	p.put(t, "192.168.42.10/24")
	p.add(t)
	addrs, err := p.links.AddrList(link, netlink.FAMILY_ALL)
	must(t, err)
	if len(addrs) != 2 {
		t.Errorf("%v", addrs)
	}
}

func TestAdd_NoCarrier(t *testing.T) {
	p := newPod(t)
	master, far := newMaster(t)
	link := p.newMacvlan(t, master)
	started := time.Now()
	got := p.add(t).Address.String()
	if took := time.Since(started); took > 20*patience {
		t.Errorf("took %s", took)
	}
	if got != byMAC(link) {
		t.Errorf("%s; want %s", got, byMAC(link))
	}
	p.expectTaken(t)

	// The kernel gives an address when the carrier comes. If it did so before the main plugin adds
	// it, the main plugin would fail.
	setUp(t, far)
	p.awaitCarrier(t)
	p.expectTaken(t)
	p.put(t, got)
	if all := p.linkLocal(t); !slices.Equal(all, []string{got}) {
		t.Errorf("the link-local addresses are %q; want %s alone", all, got)
	}
}

// awaitCarrier waits until the interface has a carrier.
func (p pod) awaitCarrier(t *testing.T) {
	t.Helper()
	for p.Link(t, ifName).Attrs().OperState != netlink.OperUp {
		must(t, t.Context().Err())
	}
}

func TestAdd_BeforeTheInterface(t *testing.T) {
	p := newPod(t)
	uplink(t)
	got := p.add(t)
	want := deriveAddress(attachment{containerID: "c1", ifName: ifName}, "green")
	if !sameAddress(got.Address, want) || got.Gateway.String() != gateway {
		t.Errorf("%+v; want %s and the gateway %s", got, &want, gateway)
	}
	if again := p.add(t); !sameAddress(again.Address, want) {
		t.Errorf("%+v; want %s", again, &want)
	}
}

func TestAdd_IPv6IsImpossible(t *testing.T) {
	t.Run("for the interface", func(t *testing.T) {
		p := newPod(t)
		link := p.newMacvlan(t, uplink(t))
		must(t, p.links.LinkSetMTU(link, 1279))
		_, err := Run("ADD", environ("CNI_NETNS", p.Path), []byte(validConf))
		expectError(t, err, types.ErrIOFailure, ifName, p.Path, "IPv6", "1279")
	})
	t.Run("for the kernel", func(t *testing.T) {
		p := newPod(t)
		p.newMacvlan(t, uplink(t))
		withSysctls(t, t.TempDir()+"/conf")
		_, err := Run("ADD", environ("CNI_NETNS", p.Path), []byte(validConf))
		expectError(t, err, types.ErrPluginNotAvailable, "the kernel has no IPv6")
	})
}

func TestRun_RestoresTheNamespaceOfTheThread(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := netns.Identify("/proc/thread-self/ns/net")
	must(t, err)
	p := newPod(t)
	p.newMacvlan(t, uplink(t))
	p.add(t)
	after, err := netns.Identify("/proc/thread-self/ns/net")
	must(t, err)
	if !after.Same(before) {
		t.Errorf("%+v, then %+v", before, after)
	}
}

func TestCheck(t *testing.T) {
	p := newPod(t)
	p.newMacvlan(t, uplink(t))
	address := p.add(t).Address.String()
	check := func(prevResult string) error {
		conf := `{"cniVersion": "1.1.0", "name": "green", "type": "vlan", "prevResult": ` + prevResult + `}`
		_, err := Run("CHECK", environ("CNI_NETNS", p.Path), []byte(conf))
		return err
	}
	result := func(address string) string {
		return `{"cniVersion": "1.1.0", "interfaces": [{"name": "` + ifName + `"}], "ips": [{"address": "` + address +
			`", "interface": 0}]}`
	}
	expectError(t, check(result(address)), CodeCheck, ifName, p.Path, address)
	p.put(t, address)
	must(t, check(result(address)))
	expectError(t, check(result("fe80::1234/64")), CodeCheck, ifName, "fe80::1234/64")
	expectError(t, check(result("192.168.42.10/24")), CodeCheck, "no link-local address")
	must(t, p.links.LinkDel(p.Link(t, ifName)))
	expectError(t, check(result(address)), CodeCheck, ifName, p.Path)
}
