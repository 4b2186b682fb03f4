//go:build root

package metaplugin

import (
	"encoding/json"
	"fmt"
	"testing"
)

const wantMAC = "0a:00:00:00:00:01"

func TestAdd_EnforcesTheMAC(t *testing.T) {
	for name, config := range map[string]func(n *testNode) string{
		"a delegate that honors the capability": func(n *testNode) string {
			return withKey(n.bridgeConf(2), `"capabilities": {"mac": true}`)
		},
		"a delegate that honors CNI_ARGS": func(n *testNode) string { return n.bridgeConf(2) },
		"a delegate that ignores both":    func(n *testNode) string { return n.ptpConf(2) },
		"a delegate of an older CNI version": func(n *testNode) string {
			return withKey(n.ptpConf(2), `"cniVersion": "0.3.1"`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newTestNode(t)
			n.api.networks["tenant/green"] = config(n)
			req := n.request(n.conf(n.ptpConf(1)))
			n.add(req)
			result := n.add(n.hotRequestMAC(req.Conf, "green", wantMAC))
			expectEqual(t, "MAC", n.netns.MAC(t, greenIf), wantMAC)
			expectEqual(t, "MAC in the result", macIn(t, result, greenIf), wantMAC)
			expectEqual(t, "MAC in the recorded result", macIn(t, n.record().Attachments[1].Result, greenIf), wantMAC)
			n.expectResult(result, greenIf)
			n.del(req)
			n.expectNothingLeft()
		})
	}
}

func TestAdd_MACOfOneNetworkAlone(t *testing.T) {
	n := newTestNode(t)
	n.api.annotation = `[{"name": "green", "ifMac": "0A-00-00-00-00-01"}, {"name": "blue"}]`
	n.api.networks["tenant/green"], n.api.networks["tenant/blue"] = n.ptpConf(2), n.ptpConf(3)
	n.add(n.request(n.conf(n.ptpConf(1))))
	expectEqual(t, "MAC of green", n.netns.MAC(t, greenIf), wantMAC)
	for _, ifName := range []string{"eth0", blueIf} {
		if n.netns.MAC(t, ifName) == wantMAC {
			t.Errorf("%s has the MAC address of green", ifName)
		}
	}
}

func TestAdd_RollsBackIfTheMACCannotBeSet(t *testing.T) {
	n := newTestNode(t)
	n.noDevice("0a:00:00:00:00:02", "$CNI_NETNS")
	n.api.annotation = `[{"name": "green", "ifMac": "` + wantMAC + `"}]`
	n.api.networks["tenant/green"] = `{"type": "nodev"}`
	n.addFails(n.request(n.conf(n.ptpConf(1))), CodeNotHonored, "network green", "MAC address", "no such interface")
	n.expectNothingLeft()
}

func TestAdd_PassesAddresses(t *testing.T) {
	n := newTestNode(t)
	n.api.annotation = `[{"name": "green", "ips": ["10.7.0.5/24", "fd00::5/64"]}]`
	n.api.networks["tenant/green"] = fmt.Sprintf(
		`{"type": "bridge", "bridge": %q, "capabilities": {"ips": true}, "ipam": {"type": "static"}}`, n.bridge)
	req := n.request(n.conf(n.ptpConf(1)))
	n.add(req)
	expectEqual(t, "addresses", n.netns.IPv4(t, greenIf), "[10.7.0.5/24]")
	n.del(req)
	n.expectNothingLeft()
}

func TestAdd_RollsBackIfAnAddressIsMissing(t *testing.T) {
	n := newTestNode(t)
	n.api.annotation = `[{"name": "green", "ips": ["10.7.0.5/24"]}]`
	n.api.networks["tenant/green"] = n.bridgeConf(2)
	n.addFails(n.request(n.conf(n.ptpConf(1))), CodeNotHonored, "network green", "10.7.0.5/24", `"ips"`)
	n.expectNothingLeft()
}

func TestAdd_PrefixLengthOfAddresses(t *testing.T) {
	const static = `{"type": "static"}`
	n := newTestNode(t)
	hostLocal := fmt.Sprintf(`{"type": "host-local", "dataDir": %q, "subnet": "10.24.0.0/23"}`, n.path("leases"))
	tests := []struct {
		name, ipam, ip string
		code           uint // 0 for success
		words          []string
	}{
		{"that of the network", hostLocal, "10.24.1.10/23", 0, nil},
		{"another than that of the network", hostLocal, "10.24.1.10/24", CodeNotHonored,
			[]string{"network green", "10.24.1.10/23", "10.24.1.10/24"}},
		{"none, where the plugin knows the network's", hostLocal, "10.24.1.10", 0, nil},
		{"none, where the plugin needs one", static, "10.24.1.10", CodeDelegate,
			[]string{"network green", "CIDR", "10.24.1.10"}},
	}
	for _, tt := range tests {
		n.run(tt.name, func() {
			n.api.annotation = fmt.Sprintf(`[{"name": "green", "ips": [%q]}]`, tt.ip)
			n.api.networks["tenant/green"] = fmt.Sprintf(
				`{"type": "bridge", "bridge": %q, "capabilities": {"ips": true}, "ipam": %s}`, n.bridge, tt.ipam)
			req := n.request(n.conf(n.ptpConf(1)))
			if tt.code != 0 {
				n.addFails(req, tt.code, tt.words...)
			} else {
				n.add(req)
				expectEqual(n.T, "addresses", n.netns.IPv4(n, greenIf), "[10.24.1.10/23]")
				n.del(req)
			}
			n.expectNothingLeft()
		})
	}
}

// macIn returns the MAC address that the result has of the interface in the Pod.
func macIn(t *testing.T, result json.RawMessage, ifName string) string {
	t.Helper()
	for _, i := range parsed(t, result).Interfaces {
		if i.Name == ifName && i.Sandbox != "" {
			return i.Mac
		}
	}
	return ""
}
