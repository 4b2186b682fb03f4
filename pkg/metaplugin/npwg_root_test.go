//go:build root

package metaplugin

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
)

// newNPWGNode returns a node with NetworkAttachmentDefinitions of the Pod's namespace, a
// (10.2.0.0/24) and b (10.3.0.0/24), on a bridge, that declare ips and mac.
func newNPWGNode(t *testing.T, npwg string, keys ...string) (*testNode, Request) {
	t.Helper()
	n := newTestNode(t)
	for i, name := range []string{"a", "b"} {
		n.api.definitions["tenant/"+name] = withKey(n.bridgeConf(2+i), `"capabilities": {"ips": true, "mac": true}`)
	}
	n.api.npwg = npwg
	return n, n.request(n.conf(n.ptpConf(1), keys...))
}

func TestNPWG_Interfaces(t *testing.T) {
	tests := []struct {
		name, npwg string
		want       []string
	}{
		{"numbered", "a,b", []string{"eth0", "net1", "net2"}},
		{"the same network twice", "a,a", []string{"eth0", "net1", "net2"}},
		{"named", `[{"name": "a", "interface": "pod1a2b3c4d5e6"}, {"name": "b"}]`,
			[]string{"eth0", "net2", "pod1a2b3c4d5e6"}},
		{"of a namespace", "tenant/a@data", []string{"data", "eth0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, req := newNPWGNode(t, tt.npwg)
			n.expectResult(n.add(req), "eth0")
			n.expectInterfaces(tt.want...)
			n.expectLeases(len(tt.want))
			n.check(req)
			n.del(req)
			n.expectPodRemoved()
		})
	}
	t.Run("one that the Pod has", func(t *testing.T) {
		n, req := newNPWGNode(t, "a@lo0,b@eth0")
		n.addFails(req, types.ErrInvalidNetworkConfig, "same interface name, eth0")
		n.expectNothingLeft()
	})
}

func TestNPWG_Requests(t *testing.T) {
	n, req := newNPWGNode(t, `[{"name": "a", "ips": ["10.2.0.77/24"], "mac": "`+wantMAC+`"}, {"name": "b"},
		{"name": "seen", "portMappings": [{"hostPort": 80, "containerPort": 8080}], "bandwidth": {"ingressRate": 8},
			"infiniband-guid": "24:8a:07:03:00:8d:ae:2f", "cni-args": {"spoofchk": "on"}}]`)
	n.script("seen", `[ $CNI_COMMAND != ADD ] || cat >stdin; `+emptyResult)
	n.api.definitions["tenant/seen"] = `{"type": "seen", "cniVersion": "1.0.0",
		"args": {"cni": {"spoofchk": "off", "x": 1}},
		"capabilities": {"portMappings": true, "bandwidth": true, "infinibandGUID": true}}`
	n.add(req)
	expectEqual(t, "address", n.netns.IPv4(t, "net1"), "[10.2.0.77/24]")
	expectEqual(t, "MAC", n.netns.MAC(t, "net1"), wantMAC)
	var seen struct {
		Name          string
		Args          json.RawMessage
		RuntimeConfig json.RawMessage
	}
	must(t, json.Unmarshal([]byte(n.read("stdin")), &seen))
	expectEqual(t, "name", seen.Name, "seen")
	expectEqual(t, "args", string(seen.Args), `{"cni":{"spoofchk":"on","x":1}}`)
	expectEqual(t, "runtimeConfig", string(seen.RuntimeConfig),
		`{"bandwidth":{"ingressRate":8,"ingressBurst":2147483647},"infinibandGUID":"24:8a:07:03:00:8d:ae:2f",`+
			`"portMappings":[{"hostPort":80,"containerPort":8080,"protocol":"tcp"}]}`)
	n.del(req)
	n.expectPodRemoved()
}

func TestNPWG_CapabilityNotDeclaredTouchesNothing(t *testing.T) {
	n, req := newNPWGNode(t, `[{"name": "a"}, {"name": "plain", "ips": ["10.4.0.77"]}]`)
	n.api.definitions["tenant/plain"] = n.bridgeConf(4)
	n.addFails(req, CodeNotHonored, "network tenant/plain", "asks for ips", "plugins: bridge")
	n.expectNothingLeft()
}

func TestNPWG_ConfigOnDisk(t *testing.T) {
	n, _ := newNPWGNode(t, "on-disk")
	must(t, os.Mkdir(n.path("net.d"), 0o755))
	req := n.request(n.conf(n.ptpConf(1), fmt.Sprintf(`"confDir": %q`, n.path("net.d"))))
	n.api.definitions["tenant/on-disk"] = ""
	n.addFails(req, types.ErrInvalidNetworkConfig, "NetworkAttachmentDefinition tenant/on-disk has no spec.config",
		n.path("net.d"))
	n.expectNothingLeft()
	must(t, os.WriteFile(n.path("net.d/10-on-disk.conf"), []byte(withKey(n.bridgeConf(4), `"name": "on-disk"`)), 0o600))
	n.add(req)
	expectEqual(t, "address", n.netns.IPv4(t, "net1"), "[10.4.0.2/24]")
	must(t, os.RemoveAll(n.path("net.d"))) // a DEL goes by the ledger
	n.del(req)
	n.expectPodRemoved()
}

func TestNPWG_DefaultNetwork(t *testing.T) {
	for _, defaultNetwork := range []string{"b", `[{"name": "b", "namespace": "kube-system"}]`} {
		n, req := newNPWGNode(t, "a", `"runtimeConfig": {"portMappings": [{"hostPort": 80}]}`)
		n.script("seen", `[ $CNI_COMMAND != ADD ] || cat >stdin.$CNI_IFNAME; `+emptyResult)
		seen := `{"type": "seen", "capabilities": {"portMappings": true}}`
		n.api.definitions["kube-system/b"] = fmt.Sprintf(`{"plugins": [%s, %s]}`, n.bridgeConf(5), seen)
		n.api.definitions["tenant/a"] = fmt.Sprintf(`{"plugins": [%s, %s]}`, n.bridgeConf(2), seen)
		n.api.defaultNetwork = defaultNetwork
		n.add(req)
		expectEqual(t, "address of eth0", n.netns.IPv4(t, "eth0"), "[10.5.0.2/24]")
		if !strings.Contains(n.read("stdin.eth0"), "hostPort") || strings.Contains(n.read("stdin.net1"), "hostPort") {
			t.Errorf("got %s for eth0, %s for net1", n.read("stdin.eth0"), n.read("stdin.net1"))
		}
		n.del(req)
		n.expectPodRemoved()
	}
}

func TestNPWG_NoSuchDefinition(t *testing.T) {
	n, req := newNPWGNode(t, "a,missing")
	n.addFails(req, types.ErrTryAgainLater,
		"there is no NetworkAttachmentDefinition missing in the namespace tenant or default")
	n.expectNothingLeft()
}

func TestNPWG_OneAfterTheOther(t *testing.T) {
	for _, parallel := range []bool{false, true} {
		n, req := newNPWGNode(t, "m,m,m")
		n.plugin.NPWGParallel = parallel
		n.script("dummy", `echo start >>order; [ $CNI_COMMAND = ADD ] && sleep 0.1; echo end >>order; `+emptyResult)
		n.api.definitions["tenant/m"] = `{"type": "dummy"}`
		n.add(req)
		alternates := strings.ReplaceAll(n.read("order"), "\n", " ") == "start end start end start end"
		expectEqual(t, "one after the other", alternates, !parallel)
		n.del(req)
	}
}

func TestNPWG_Hot(t *testing.T) {
	n, req := newNPWGNode(t, "a")
	n.add(req)
	second := n.hotSelection(req.Conf, `{"kind": "NetworkAttachmentDefinition", "name": "a", "interface": "net2",
		"ips": ["10.2.0.88/24"], "mac": "`+wantMAC+`"}`)
	n.expectResult(n.add(second), "net2")
	expectEqual(t, "address", n.netns.IPv4(t, "net2"), "[10.2.0.88/24]")
	n.expectResult(n.add(second), "net2") // again
	n.check(second)
	n.expectInterfaces("eth0", "net1", "net2")

	n.run("otherwise", func() {
		n.addFails(n.hotSelection(req.Conf, `{"kind": "NetworkAttachmentDefinition", "name": "a", "interface": "net2",
			"ips": ["10.2.0.88/24"], "mac": "`+wantMAC+`", "cni-args": {"x": 1}}`), CodeAttached, "net2", `"x":1`)
		n.addFails(n.hotSelection(req.Conf, `{"name": "a", "interface": "net2"}`), CodeAttached,
			"attached already, to the NetworkAttachmentDefinition tenant/a")
	})
	bare := n.hotRequest(req.Conf, "a") // the ledger knows the interface
	bare.IfName = "net2"
	n.del(bare)
	n.expectInterfaces("eth0", "net1")
	n.delFails(bare, types.ErrInvalidEnvironmentVariables, "net2")
	n.del(second) // again, with the selection
	n.del(req)
	n.expectPodRemoved()
}

func TestHotAdd_SameNetworkOnTwoInterfaces(t *testing.T) {
	n, req := newRunningPod(t)
	n.add(n.hotRequest(req.Conf, "green"))
	data := n.hotSelection(req.Conf, `{"name": "green", "interface": "data"}`)
	n.add(data)
	n.expectInterfaces("data", "eth0", greenIf)
	n.expectLeases(3)
	n.del(n.hotRequest(req.Conf, "green"))
	n.expectInterfaces("data", "eth0")
	n.expectResult(n.add(n.hotRequest(req.Conf, "green")), "data") // for an agent that knows no interfaces
	n.expectInterfaces("data", "eth0")
	n.delFails(n.hotRequest(req.Conf, "green"), CodeAttached, "attached on the interface data", "instead of "+greenIf)
	n.del(data)
	n.expectInterfaces("eth0")
}
