//go:build root

package metaplugin

import (
	"context"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
)

// newRunningPodOfTwo returns a node with a running Pod and a Network green, which assigns requested
// addresses, in two namespaces: 10.2.0.0/24 in that of the Pod, 10.3.0.0/24 in infra.
func newRunningPodOfTwo(t *testing.T) (*testNode, Request) {
	t.Helper()
	n, req := newRunningPod(t)
	n.api.networks["tenant/green"] = withKey(n.bridgeConf(2), `"capabilities": {"ips": true}`)
	n.api.networks["infra/green"] = withKey(n.bridgeConf(3), `"capabilities": {"ips": true}`)
	return n, req
}

func (n *testNode) expectGreen(namespace, address string) {
	n.Helper()
	a, _ := n.record().Find(greenIf)
	expectEqual(n.T, "namespace", a.Namespace, namespace)
	expectEqual(n.T, "addresses", n.netns.IPv4(n, greenIf), "["+address+"]")
}

func TestHotAdd_HonorsTheSelection(t *testing.T) {
	tests := []struct{ name, selection, namespace, address string }{
		{"the namespace", `{"name": "green", "namespace": "infra"}`, "infra", "10.3.0.2/24"},
		{"no namespace", `{"name": "green"}`, "tenant", "10.2.0.2/24"},
		{"addresses", `{"name": "green", "ips": ["10.2.0.77/24"]}`, "tenant", "10.2.0.77/24"},
		{"all at once", `{"name": "green", "namespace": "infra", "ips": ["10.3.0.88"], "ifMac": "` + wantMAC + `",
			"podagentSkip": true, "upperLayers": ["blue"]}`, "infra", "10.3.0.88/24"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, req := newRunningPodOfTwo(t)
			green := n.hotSelection(req.Conf, tt.selection)
			n.expectResult(n.add(green), greenIf)
			n.expectGreen(tt.namespace, tt.address)
			if mac := green.Conf.Selection.MAC; mac != "" {
				expectEqual(t, "MAC", n.netns.MAC(t, greenIf), mac)
			}
			recorded, _ := n.record().Find(greenIf)
			expectEqual(t, "podagentSkip", recorded.PodagentSkip, green.Conf.Selection.PodagentSkip)
			n.check(green)
			n.del(green)
			n.expectInterfaces("eth0")
			n.expectLeases(1)
		})
	}
}

func TestHotAdd_VerifiesTheSelectedAddresses(t *testing.T) {
	n, req := newRunningPod(t) // whose green does not declare the capability
	n.addFails(n.hotSelection(req.Conf, `{"name": "green", "ips": ["10.2.0.77/24"]}`), CodeNotHonored,
		"network green", "10.2.0.77/24", `"ips"`)
	n.expectInterfaces("eth0")
	n.expectLeases(1)
}

func TestHotAdd_NamespaceOfTheSelectionIsIsolated(t *testing.T) {
	n, req := newRunningPodOfTwo(t)
	conf := req.Conf
	conf.NamespaceIsolation = true
	n.addFails(n.hotSelection(conf, `{"name": "green", "namespace": "infra"}`), CodeIsolation, "infra/green")
	expectEqual(t, "Networks read", n.api.networksRead.Load(), 0)
	conf.NetworkNamespace = "infra"
	n.add(n.hotSelection(conf, `{"name": "green", "namespace": "infra"}`))
	n.expectGreen("infra", "10.3.0.2/24")
}

func TestHotAdd_DelegatesDoNotSeeTheSelection(t *testing.T) {
	n, req := newRunningPod(t)
	n.script("reader", `cat >stdin; `+emptyResult)
	n.api.networks["tenant/green"] = `{"type": "reader", "capabilities": {"kaloom.com/selection": true, "ips": false}}`
	n.addFails(n.hotSelection(req.Conf, `{"name": "green", "ips": ["10.2.0.77/24"]}`), CodeNotHonored)
	stdin := n.read("stdin")
	if !strings.Contains(stdin, `"type":"reader"`) || strings.Contains(stdin, "runtimeConfig") {
		t.Errorf("the delegate reads %s", stdin)
	}
}

func TestHotAdd_AgainComparesTheSelection(t *testing.T) {
	const infra = `{"name": "green", "namespace": "infra", "ips": ["10.3.0.88/24"]}`
	n, req := newRunningPodOfTwo(t)
	first := n.add(n.hotSelection(req.Conf, infra))
	mac := n.netns.MAC(t, greenIf)
	for name, selection := range map[string]string{
		"another namespace": `{"name": "green", "namespace": "tenant", "ips": ["10.3.0.88/24"]}`,
		"no namespace":      `{"name": "green", "ips": ["10.3.0.88/24"]}`,
		"another address":   `{"name": "green", "namespace": "infra", "ips": ["10.3.0.89/24"]}`,
		"no address":        `{"name": "green", "namespace": "infra"}`,
		"another MAC address": `{"name": "green", "namespace": "infra", "ips": ["10.3.0.88/24"],
			"ifMac": "0a:00:00:00:00:02"}`,
	} {
		n.run(name, func() {
			other := n.hotSelection(req.Conf, selection)
			n.addFails(other, CodeAttached, "network green", greenIf, "hot DEL it first")
			expectError(n.T, n.plugin.Check(context.Background(), other), CodeCheck, greenIf)
			n.expectGreen("infra", "10.3.0.88/24")
		})
	}
	n.run("the same, and none, are answered with the recorded result", func() {
		for _, again := range []Request{n.hotSelection(req.Conf, infra), n.hotRequest(req.Conf, "green")} {
			expectEqual(n.T, "result", compact(n.T, n.add(again)), compact(n.T, first))
			n.check(again)
		}
		expectEqual(n.T, "MAC", n.netns.MAC(n, greenIf), mac)
	})
	n.run("what is half made is made anew as it is selected now", func() {
		n.delInterface(greenIf)
		n.add(n.hotSelection(req.Conf, `{"name": "green", "ips": ["10.2.0.77/24"]}`))
		n.expectGreen("tenant", "10.2.0.77/24")
		n.expectLeases(2)
	})
}

func TestHotAdd_SameSelectionAsThatOfThePod(t *testing.T) {
	const selection = `{"name": "green", "namespace": "infra", "ips": ["10.3.0.88/24"]}`
	n := newTestNode(t)
	n.api.annotation = "[" + selection + "]"
	n.api.networks["infra/green"] = withKey(n.bridgeConf(3), `"capabilities": {"ips": true}`)
	req := n.request(n.conf(n.ptpConf(1)))
	n.add(req)
	n.expectResult(n.add(n.hotSelection(req.Conf, selection)), greenIf)
	n.addFails(n.hotSelection(req.Conf, `{"name": "green"}`), CodeAttached, "infra and not tenant or default")
}

func TestHotDel_GoesByTheLedgerWhateverIsSelected(t *testing.T) {
	n, req := newRunningPodOfTwo(t)
	n.add(n.hotSelection(req.Conf, `{"name": "green", "namespace": "infra", "ips": ["10.3.0.88/24"]}`))
	n.del(n.hotSelection(req.Conf, `{"name": "green", "namespace": "elsewhere", "ips": ["10.9.0.1/24"]}`))
	n.expectInterfaces("eth0")
	n.expectLeases(1)
}

func TestHotAdd_MissingNetworkOfTheSelectedNamespace(t *testing.T) {
	n, req := newRunningPodOfTwo(t)
	n.addFails(n.hotSelection(req.Conf, `{"name": "green", "namespace": "elsewhere"}`), types.ErrTryAgainLater,
		"there is no Network green in the namespace elsewhere:")
	n.expectInterfaces("eth0")
}
