//go:build root

package metaplugin

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

func TestAdd_DefaultNetworkAlone(t *testing.T) {
	for _, annotation := range []string{"", "  ", "[]"} {
		t.Run(fmt.Sprintf("annotation %q", annotation), func(t *testing.T) {
			n := newTestNode(t)
			n.api.annotation = annotation
			req := n.request(n.conf(n.ptpConf(1)))
			result := n.add(req)
			n.expectInterfaces("eth0")
			n.expectResult(result, "eth0")
			expectEqual(t, "Pods and Networks read", [2]int32{n.api.pods.Load(), n.api.networksRead.Load()}, "[1 0]")
			n.del(req)
			n.expectNothingLeft()
		})
	}
}

func TestAdd_EveryNetworkOnItsInterface(t *testing.T) {
	n := newTestNode(t)
	n.selectNetworks("green", "blue")
	n.api.networks["tenant/green"] = n.bridgeConf(2)
	n.api.networks["default/blue"] = n.ptpConf(3)
	req := n.request(n.conf(n.ptpConf(1)))
	result := n.add(req)
	n.expectInterfaces("eth0", blueIf, greenIf)
	if got := addressIn(t, result); !strings.HasPrefix(got, "10.1.") {
		t.Errorf("the result has %s, which is not the default network's address", got)
	}
	for ifName, prefix := range map[string]string{"eth0": "10.1.", greenIf: "10.2.", blueIf: "10.3."} {
		if got := n.netns.IPv4(t, ifName); len(got) != 1 || !strings.HasPrefix(got[0], prefix) {
			t.Errorf("%s has the addresses %v", ifName, got)
		}
	}
	r := n.record()
	for i, want := range []string{"eth0", greenIf, blueIf} {
		a := r.Attachments[i]
		expectEqual(t, "attachment", a.IfName, want)
		expectEqual(t, "state of "+want, a.State, ledger.Attached)
		n.expectResult(a.Result, want)
	}
	if r.Pod != pod || r.IfName != "eth0" || r.Netns.Path != n.netns.Path {
		t.Errorf("the record has %+v on %s in %+v", r.Pod, r.IfName, r.Netns)
	}
	n.del(req)
	n.expectNothingLeft()
}

func TestAdd_PrimaryNetworkReplacesMasterDelegate(t *testing.T) {
	n := newTestNode(t)
	n.recorder("master")
	n.api.annotation = `[{"name": "blue", "ifMac": "0a:00:00:00:00:0b"},
		{"name": "green", "isPrimary": true, "ifMac": "0a:00:00:00:00:0a"}]`
	n.api.networks["tenant/green"] = n.bridgeConf(2)
	n.api.networks["tenant/blue"] = n.ptpConf(3)
	req := n.request(n.conf(`{"type": "master"}`))
	result := n.add(req)
	n.expectCalls()
	n.expectInterfaces("eth0", blueIf)
	n.expectResult(result, "eth0")
	expectEqual(t, "MAC of eth0", n.netns.MAC(t, "eth0"), "0a:00:00:00:00:0a")
	expectEqual(t, "MAC of blue", n.netns.MAC(t, blueIf), "0a:00:00:00:00:0b")
	n.del(req)
	n.expectNothingLeft()
	n.expectCalls()
}

func TestAdd_AuxiliaryDelegatesOfTheNetconf(t *testing.T) {
	n := newTestNode(t)
	req := n.request(n.conf(n.ptpConf(1) + `, ` + withKey(n.bridgeConf(2), `"name": "green"`)))
	n.add(req)
	n.expectInterfaces("eth0", greenIf)
	n.del(req)
	n.expectNothingLeft()
}

func TestAdd_ChainIsOneNetwork(t *testing.T) {
	n := newTestNode(t)
	n.selectNetworks("green")
	n.api.networks["tenant/green"] = n.bridgeChain(2, `{"type": "tuning", "mtu": 1380}`)
	req := n.request(n.conf(n.ptpConf(1)))
	n.add(req)
	expectEqual(t, "MTU", n.netns.Link(t, greenIf).Attrs().MTU, 1380)
	n.del(req)
	n.expectNothingLeft()
}

func TestAdd_PassesThePodToDelegates(t *testing.T) {
	n := newTestNode(t)
	n.script("spy", `echo "$CNI_CONTAINERID $CNI_NETNS $CNI_ARGS" >env.$CNI_IFNAME; `+emptyResult)
	n.selectNetworks("green")
	n.api.uid = "some-uid"
	n.api.networks["tenant/green"] = `{"type": "spy"}`
	req := n.request(n.conf(`{"type": "spy"}`))
	req.Args.Pod.UID = "some-uid"
	n.add(req)
	want := "c1 " + n.netns.Path + " IgnoreUnknown=1;K8S_POD_NAMESPACE=tenant;K8S_POD_NAME=app;" +
		"K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=some-uid"
	expectEqual(t, "environment for eth0", n.read("env.eth0"), want)
	expectEqual(t, "environment for green", n.read("env."+greenIf), want)
}

func TestAdd_ResultHasTheVersionOfTheNetconf(t *testing.T) {
	n := newTestNode(t)
	conf := n.conf(withKey(n.ptpConf(1), `"cniVersion": "1.0.0"`))
	conf.CNIVersion = "0.3.1"
	result := n.add(n.request(conf))
	n.expectResult(result, "eth0")
	for _, want := range []string{`"cniVersion":"0.3.1"`, `"version":"4"`} { // 1.0.0 has no version in ips
		if !strings.Contains(string(result), want) {
			t.Errorf("no %s in %s", want, result)
		}
	}
}

func TestAdd_RefusesAContainerThatHasAttachments(t *testing.T) {
	n := newTestNode(t)
	n.selectNetworks("green")
	n.api.networks["tenant/green"] = n.bridgeConf(2)
	req := n.request(n.conf(n.ptpConf(1)))
	n.add(req)
	state := func() []any {
		return []any{n.netns.Devices(t), n.netns.IPv4(t, "eth0"), n.netns.MAC(t, "eth0"), n.netns.MAC(t, greenIf),
			n.leases(), n.read("ledger/c1.json")}
	}
	before := state()
	n.addFails(req, CodeAttached, "eth0, "+greenIf)
	expectEqual(t, "the Pod, the leases and the record", state(), before)
	n.del(req)
	n.expectNothingLeft()
}

func TestAdd_AcceptsThePodsUIDOrItsFilesHash(t *testing.T) {
	n := newTestNode(t)
	n.recorder("master")
	n.api.uid, n.api.hash = "uid", "hash"
	req := n.request(n.conf(`{"type": "master"}`))
	for _, uid := range []string{"uid", "hash", ""} {
		req.Args.Pod.UID = uid
		n.add(req)
		n.del(req)
	}
}

func TestAdd_BusyContainer(t *testing.T) {
	n := newTestNode(t)
	n.recorder("master")
	defer n.lock(container).Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // the time for waiting is over
	req := n.request(n.conf(`{"type": "master"}`))
	_, err := n.plugin.Add(ctx, req)
	expectError(t, err, types.ErrTryAgainLater, "another operation is still running")
	t.Run("DEL", func(t *testing.T) {
		expectError(t, n.plugin.Del(ctx, req), types.ErrTryAgainLater, "another operation is still running")
	})
	n.expectCalls()
}

func TestAdd_LedgerCannotBeOpened(t *testing.T) {
	for _, dir := range []string{"ledger", "locks"} {
		t.Run(dir, func(t *testing.T) {
			n := newTestNode(t)
			must(t, os.WriteFile(n.path(dir), nil, 0o600))
			n.recorder("master")
			req := n.request(n.conf(`{"type": "master"}`))
			n.addFails(req, types.ErrIOFailure, n.path(dir))
			n.delFails(req, types.ErrIOFailure, n.path(dir))
			n.expectCalls()
		})
	}
}

func TestAdd_CorruptRecordIsTouchedByADelOnly(t *testing.T) {
	n, req := newCheckedPod(t)
	mac, leases := n.netns.MAC(t, "eth0"), n.leases()
	n.corrupt()
	n.addFails(req, types.ErrIOFailure, "is corrupt")
	n.addFails(n.hotRequest(req.Conf, "green"), types.ErrIOFailure, "is corrupt")
	n.checkFails(req, types.ErrIOFailure, "is corrupt")
	expectEqual(t, "MAC of eth0", n.netns.MAC(t, "eth0"), mac)
	expectEqual(t, "leases", n.leases(), leases)
	expectEqual(t, "files in the ledger", n.ledgerFiles(), "[c1.json]")

	n.del(req)
	n.expectInterfaces(greenIf) // goes with the namespace, which the runtime removes
	if files := n.ledgerFiles(); len(files) != 1 || filepath.Ext(files[0]) != ".corrupt" {
		t.Errorf("the ledger has %v", files)
	}
	req.Conf.PrevResult = nil
	n.api.annotation = ""
	n.add(req)
	n.del(req)
}
