//go:build root

package metaplugin

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

// logged returns what do logs.
func (n *testNode) logged(do func()) string {
	n.Helper()
	var log bytes.Buffer
	before := n.plugin.Log
	defer func() { n.plugin.Log = before }()
	n.plugin.Log = slog.New(slog.NewTextHandler(&log, nil))
	do()
	return log.String()
}

// checkWarns runs a CHECK of the Pod, which must succeed and log a warning with those words.
func (n *testNode) checkWarns(req Request, words ...string) {
	n.Helper()
	log := n.logged(func() { n.check(req) })
	for _, word := range append(words, "level=WARN") {
		if !strings.Contains(log, word) {
			n.Errorf("no %q in the log: %s", word, log)
		}
	}
}

func TestCheck_TroubleOfAHotNetworkIsNoneOfThePod(t *testing.T) {
	tests := []struct {
		name   string
		change func(n *testNode, req Request)
		words  []string
	}{
		{"an interface that is missing", func(n *testNode, req Request) {
			n.add(n.hotRequest(req.Conf, "blue"))
			n.delInterface(blueIf)
		}, []string{"blue", "no such interface"}},
		{"a lease that is missing", func(n *testNode, req Request) {
			n.add(n.hotRequest(req.Conf, "blue"))
			must(n, os.RemoveAll(n.path("leases/blue")))
		}, []string{"blue", "plugin bridge"}},
		{"a hot DEL that failed", func(n *testNode, req Request) {
			n.add(n.hotRequest(req.Conf, "blue"))
			n.script("bridge", "exit 1")
			n.delFails(n.hotRequest(req.Conf, "blue"), CodeDelegate)
			must(n, os.Remove(n.path("plugins/bridge")))
		}, []string{"blue", "may be half torn down"}},
		{"a hot ADD that was killed", func(n *testNode, _ Request) {
			locked := n.lock(container)
			defer locked.Close()
			blue, _ := locked.Record().Find(greenIf)
			blue.Network, blue.IfName, blue.State, blue.Hot = "blue", blueIf, ledger.Planned, true
			ns := locked.Record().Netns
			must(n, locked.WritePlanned(context.Background(), ns, pod, "", []ledger.Attachment{blue}))
		}, []string{"blue", "half made"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, req := newCheckedPod(t)
			n.api.networks["tenant/blue"] = n.bridgeConf(3)
			tt.change(n, req)
			n.checkWarns(req, tt.words...)
			expectError(t, n.plugin.Check(context.Background(), n.hotRequest(req.Conf, "blue")), checkCode(tt.words))
			n.run("what the ADD made still counts", func() {
				n.delInterface(greenIf)
				err := n.checkFails(req, CodeCheck, "network green")
				if strings.Contains(err.Msg, "blue") {
					n.Errorf("the error names the hot network: %s", err.Msg)
				}
			})
		})
	}
}

// checkCode returns the code of a problem: the delegate's, or kactus's own.
func checkCode(words []string) uint {
	if strings.HasPrefix(words[1], "plugin") {
		return CodeDelegate
	}
	return CodeCheck
}

func TestCheck_PassesOverAStartTimeNetworkWhoseHotDelFailed(t *testing.T) {
	n, req := newCheckedPod(t)
	n.script("bridge", "exit 1")
	n.delFails(n.hotRequest(req.Conf, "green"), CodeDelegate)
	n.checkWarns(req, "green", "may be half torn down")
	n.checkFails(n.hotRequest(req.Conf, "green"), CodeCheck, "network green")
}

func TestCheck_DoesNotWaitForAHotOperation(t *testing.T) {
	for name, op := range map[string]func(n *testNode, req Request) error{
		"hot ADD": func(n *testNode, req Request) error {
			_, err := n.plugin.Add(context.Background(), n.hotRequest(req.Conf, "blue"))
			return err
		},
		"hot DEL of a network that the ADD made": func(n *testNode, req Request) error {
			return n.plugin.Del(context.Background(), n.hotRequest(req.Conf, "green"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			n, req := newCheckedPod(t)
			n.api.networks["tenant/blue"] = n.bridgeConf(3)
			n.script("bridge", `[ $CNI_COMMAND = CHECK ] || { `+pluginDir+`/bridge; : >running
				while [ ! -e go ]; do sleep 0.01; done; exit; }; exec `+pluginDir+`/bridge`)
			done := make(chan error)
			go func() { done <- op(n, req) }()
			awaitFile(t, n.path("running"))
			n.check(req)
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			err := n.plugin.Check(ctx, n.hotRequest(req.Conf, "green"))
			expectError(t, err, types.ErrTryAgainLater, "another operation is still running")
			must(t, os.WriteFile(n.path("go"), nil, 0o600))
			must(t, <-done)
			n.check(req)
		})
	}
}

func TestCheck_WaitsForAnOperationOnThePod(t *testing.T) {
	n, req := newCheckedPod(t)
	killed := n.lock(container)
	n.plugin.markHot(container, greenIf) // and never removed
	killed.Close()
	n.check(req)
	defer n.lock(container).Close()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	expectError(t, n.plugin.Check(ctx, req), types.ErrTryAgainLater, "another operation is still running")
}

func TestCheck_NeedsNoPrevResult(t *testing.T) {
	n, req := newCheckedPod(t)
	req.Conf.PrevResult = nil // the runtime lost its cache
	n.check(req)
	n.delInterface(greenIf)
	n.checkFails(req, CodeCheck, "network green")
	n.run("but one that is there must be a result", func() {
		req.Conf.PrevResult = []byte(`{"cniVersion": "1.0.0", "ips": [{"address": "here"}]}`)
		n.checkFails(req, types.ErrInvalidNetworkConfig, "prevResult")
	})
}

func TestCheck_PassesOverABridgeWithoutIPAM(t *testing.T) {
	for name, keys := range map[string]string{
		"no ipam":    `"promiscMode": false`,
		"empty ipam": `"ipam": {}`,
		"a chain":    `"ipam": {"type": ""}`,
	} {
		t.Run(name, func(t *testing.T) {
			n := newTestNode(t)
			n.script("second", `echo $CNI_COMMAND $CNI_IFNAME >>calls; exec `+pluginDir+`/tuning`)
			bridge := withKey(`{"type": "bridge", "bridge": "`+n.bridge+`"}`, keys)
			n.selectNetworks("green")
			n.api.networks["tenant/green"] = bridge
			if name == "a chain" {
				n.api.networks["tenant/green"] = `{"plugins": [` + bridge + `, {"type": "second"}]}`
			}
			req := n.request(n.conf(n.ptpConf(1)))
			req.Conf.PrevResult = n.add(req)
			if log := n.logged(func() { n.check(req) }); !strings.Contains(log, "passed over") {
				n.Errorf("got the log %s", log)
			}
			if name == "a chain" {
				n.expectCalls("ADD "+greenIf, "CHECK "+greenIf)
			}
			n.delInterface(greenIf)
			n.checkFails(req, CodeCheck, "network green", "no such interface")
		})
	}
}

func TestHotAdd_IsMarkedInTheRecord(t *testing.T) {
	n, req := newGreenPod(t)
	n.api.networks["tenant/blue"] = n.bridgeConf(3)
	n.add(n.hotRequest(req.Conf, "blue"))
	for ifName, want := range map[string]bool{"eth0": false, greenIf: false, blueIf: true} {
		a, _ := n.record().Find(ifName)
		expectEqual(t, "hot is "+ifName, a.Hot, want)
	}
}

// A bridge that is no gateway gets another MAC address when Pods come and go.
func TestCheck_PassesWhenTheBridgeHasAnotherMAC(t *testing.T) {
	n := newTestNode(t)
	n.selectNetworks("green")
	n.api.networks["tenant/green"] = n.bridgeConf(2)
	req := n.request(n.conf(n.ptpConf(1)))
	req.Conf.PrevResult = n.add(req)
	bridge, err := netlink.LinkByName(n.bridge)
	must(t, err)
	must(t, netlink.LinkSetHardwareAddr(bridge, net.HardwareAddr{0x02, 0, 0, 0, 0, 0x01}))
	n.check(req)
	must(t, netlink.LinkDel(bridge))
	n.checkFails(req, CodeDelegate, "network green", n.bridge)
}
