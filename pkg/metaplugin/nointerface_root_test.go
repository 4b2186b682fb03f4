//go:build root

package metaplugin

import (
	"fmt"
	"testing"
)

// noDevice installs the plugin nodev, which makes no interface, as one for a device that a program
// drives. Its result names one, with that MAC address and in that namespace.
func (n *testNode) noDevice(mac, sandbox string) {
	n.script("nodev", `echo $CNI_COMMAND $CNI_IFNAME >>calls; echo '{"cniVersion": "1.0.0", "interfaces":
		[{"name": "'$CNI_IFNAME'", "mac": "`+mac+`", "sandbox": "'`+sandbox+`'"}]}'`)
}

// nothingMade are the results of delegates that make no interface.
var nothingMade = map[string]func(n *testNode){
	"the result names an interface":           func(n *testNode) { n.noDevice("02:00:00:00:00:77", "$CNI_NETNS") },
	"the result names one without an address": func(n *testNode) { n.noDevice("", "$CNI_NETNS") },
	"the result names one of the node":        func(n *testNode) { n.noDevice("02:00:00:00:00:77", "") },
	"the result is empty":                     func(n *testNode) { n.recorder("nodev") },
}

func TestNoInterface_KactusReliesOnTheDelegate(t *testing.T) {
	for name, install := range nothingMade {
		t.Run(name, func(t *testing.T) {
			n := newTestNode(t)
			install(n)
			n.selectNetworks("green")
			n.api.networks["tenant/green"], n.api.networks["tenant/blue"] = `{"type": "nodev"}`, `{"type": "nodev"}`
			req := n.request(n.conf(n.ptpConf(1)))
			n.add(req)
			blue := n.hotRequest(req.Conf, "blue")
			first := n.add(blue)
			expectEqual(t, "result of the second hot ADD", compact(t, n.add(blue)), compact(t, first))
			n.check(req)
			n.check(blue)
			for ifName, want := range map[string]bool{"eth0": false, greenIf: true, blueIf: true} {
				a, _ := n.record().Find(ifName)
				expectEqual(t, "no interface is "+ifName, a.NoInterface, want)
			}
			n.del(blue)
			n.del(req)
			n.expectCalls("ADD "+greenIf, "ADD "+blueIf, "CHECK "+greenIf, "CHECK "+blueIf, "CHECK "+blueIf,
				"DEL "+blueIf, "DEL "+greenIf)
			n.expectNothingLeft()
		})
	}
}

func TestNoInterface_MACIsThatOfTheResult(t *testing.T) {
	n, req := newRunningPod(t)
	n.api.networks["tenant/green"] = `{"type": "nodev"}`
	n.run("the one that was asked for", func() {
		n.noDevice("0A:00:00:00:00:01", "$CNI_NETNS")
		n.add(n.hotRequestMAC(req.Conf, "green", wantMAC))
		n.add(n.hotRequestMAC(req.Conf, "green", wantMAC))
		n.addFails(n.hotRequestMAC(req.Conf, "green", "0a:00:00:00:00:02"), CodeAttached, wantMAC)
		n.del(n.hotRequest(req.Conf, "green"))
	})
	n.run("another one", func() {
		n.noDevice("02:00:00:00:00:77", "$CNI_NETNS")
		n.addFails(n.hotRequestMAC(req.Conf, "green", wantMAC), CodeNotHonored, "02:00:00:00:00:77", wantMAC)
		if _, left := n.record().Find(greenIf); left {
			n.Error("the attachment is left")
		}
	})
	n.run("none", func() {
		n.noDevice("", "$CNI_NETNS")
		n.add(n.hotRequestMAC(req.Conf, "green", wantMAC))
		n.add(n.hotRequestMAC(req.Conf, "green", wantMAC))
		n.addFails(n.hotRequestMAC(req.Conf, "green", "0a:00:00:00:00:02"), CodeAttached, wantMAC)
	})
}

// Before version 0.3.0 of the specification, results do not name interfaces.
func TestNoInterface_TheKernelDecidesForOldResults(t *testing.T) {
	n := newTestNode(t)
	n.api.annotation = fmt.Sprintf(`[{"name": "green", "ifMac": %q}]`, wantMAC)
	n.api.networks["tenant/green"] = withKey(n.ptpConf(2), `"cniVersion": "0.2.0"`)
	n.add(n.request(n.conf(n.ptpConf(1))))
	expectEqual(t, "MAC", n.netns.MAC(t, greenIf), wantMAC)
	a, _ := n.record().Find(greenIf)
	expectEqual(t, "no interface", a.NoInterface, false)
}
