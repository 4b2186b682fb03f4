package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"0.4.0", "1.0.0", "1.1.0"} {
		t.Run("passes after an ADD, in the version "+version, func(t *testing.T) {
			tn := newTenant(t)
			tn.conf.CNIVersion = version
			tn.bridges(t, "green", "blue")
			tn.network(t, "data", `{"cniVersion": "0.3.1", "type": "macvlan", "master": "`+node.Uplink+`"}`) // which has no CHECK
			p := tn.pod(t, `[{"name":"green","ifMac":"`+tn.unused(1)+`"},{"name":"data"}]`)
			p.add(t)
			p.hotAdd(t, "green") // which is there, and answers with its result
			p.hotAdd(t, "blue")
			for _, c := range []call{p.runtime(), p.agent("green", ""), p.agent("blue", "")} {
				if err := p.libcniCheck(t, p.conf, c); err != nil {
					t.Errorf("CHECK of %s: %v", c.device, err)
				}
			}
			p.del(t)
			p.expectGone(t)
		})
	}
	for _, c := range []struct {
		what  string
		spoil func(t *testing.T, p *pod)
		code  uint
		says  string
	}{
		{"the device of a network", func(t *testing.T, p *pod) {
			in(t, p.netns, func(h handle) { succeed(t, h.LinkDel(p.link(t, greenDevice))) })
		}, 107, greenDevice},
		{"the device of a hot network", func(t *testing.T, p *pod) {
			in(t, p.netns, func(h handle) { succeed(t, h.LinkDel(p.link(t, blueDevice))) })
		}, 107, blueDevice},
		{"the MAC address that was asked for", func(t *testing.T, p *pod) {
			in(t, p.netns, func(h handle) { succeed(t, h.LinkSetHardwareAddr(p.link(t, greenDevice), []byte{0x0a, 1, 2, 3, 4, 5})) })
		}, 107, "0a:01:02:03:04:05"},
		{"an address, which the delegate knows of", func(t *testing.T, p *pod) {
			in(t, p.netns, func(h handle) {
				addrs, err := h.AddrList(p.link(t, "eth0"), netlink.FAMILY_V4)
				succeed(t, err)
				succeed(t, h.AddrDel(p.link(t, "eth0"), &addrs[0]))
			})
		}, 102, defaultNet},
		{"a lease, which the delegate's delegate knows of", func(t *testing.T, p *pod) {
			succeed(t, os.RemoveAll(filepath.Join(p.leaseDir(), "green")))
		}, 102, "green"},
	} {
		t.Run("misses "+c.what, func(t *testing.T) {
			tn := newTenant(t)
			tn.bridges(t, "green", "blue")
			p := tn.pod(t, `[{"name":"green","ifMac":"`+tn.unused(1)+`"}]`)
			p.add(t)
			p.hotAdd(t, "blue")
			c.spoil(t, p)
			expectError(t, cniError(t, p.libcniCheck(t, p.conf, p.runtime())), c.code, c.says)
			p.del(t)
			p.expectGone(t)
		})
	}
	t.Run("passes where the netconf disables it, which runtimes do not see", func(t *testing.T) {
		tn := newTenant(t)
		p := tn.podWith(t, nil)
		p.add(t)
		in(t, p.netns, func(h handle) { succeed(t, h.LinkDel(p.link(t, "eth0"))) })
		var conf map[string]any
		succeed(t, json.Unmarshal(encode(t, p.conf), &conf))
		conf["disableCheck"], conf["prevResult"] = true, map[string]any{"cniVersion": "1.0.0"}
		if _, err := p.start(t, "CHECK", conf, p.runtime()).wait(t); err != nil {
			t.Error(err)
		}
		p.del(t)
		p.expectGone(t)
	})
}

func succeed(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
