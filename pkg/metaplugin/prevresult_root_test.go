//go:build root

package metaplugin

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
)

const (
	previous = `{"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "sandbox": "/n"}],
		"ips": [{"address": "10.9.0.1/24"}]}`
	// keepStdin appends the plugin's stdin to a file, on one line.
	keepStdin = `tr -d '\n' >>$CNI_COMMAND.$CNI_IFNAME; echo >>$CNI_COMMAND.$CNI_IFNAME; `
)

// prevResults returns the addresses in the prevResult of each plugin that kept its stdin; empty for
// one without prevResult.
func (n *testNode) prevResults(file string) []string {
	n.Helper()
	var all []string
	for line := range strings.SplitSeq(n.read(file), "\n") {
		var conf struct {
			PrevResult struct{ IPs []struct{ Address string } }
		}
		must(n, json.Unmarshal([]byte(line), &conf))
		addresses := ""
		for _, ip := range conf.PrevResult.IPs {
			addresses += ip.Address
		}
		all = append(all, addresses)
	}
	return all
}

func TestAdd_PassesPrevResultToTheDefaultNetwork(t *testing.T) {
	const chain = `{"plugins": [{"type": "first"}, {"type": "second"}]}`
	n := newTestNode(t)
	n.script("first", keepStdin+`echo '{"cniVersion": "1.0.0", "ips": [{"address": "10.9.0.2/24"}]}'`)
	n.script("second", keepStdin+`echo '{"cniVersion": "1.0.0", "ips": [{"address": "10.9.0.3/24"}]}'`)
	n.api.networks["tenant/green"] = chain
	n.selectNetworks("green")
	req := n.request(n.conf(chain, `"prevResult": `+previous))
	n.add(req)
	expectEqual(t, "prevResult of the default network's plugins",
		n.prevResults("ADD.eth0"), []string{"10.9.0.1/24", "10.9.0.2/24"})
	expectEqual(t, "prevResult of another network's plugins",
		n.prevResults("ADD."+greenIf), []string{"", "10.9.0.2/24"})
	n.del(req)
	expectEqual(t, "prevResult of the DEL", n.prevResults("DEL.eth0"), []string{"10.9.0.3/24", "10.9.0.3/24"})
	n.expectNothingLeft()
}

func TestAdd_PassesPrevResultToThePrimaryNetwork(t *testing.T) {
	n := newTestNode(t)
	n.recorder("master")
	n.script("primary", keepStdin+emptyResult)
	n.api.networks["tenant/green"] = `{"type": "primary", "cniVersion": "0.4.0"}`
	n.api.annotation = `[{"name": "green", "isPrimary": true}]`
	n.add(n.request(n.conf(`{"type": "master"}`, `"prevResult": `+previous)))
	expectEqual(t, "prevResult", n.prevResults("ADD.eth0"), []string{"10.9.0.1/24"})
	n.expectCalls()
}

func TestAdd_InvalidPrevResult(t *testing.T) {
	n := newTestNode(t)
	n.recorder("master")
	hot := n.hotRequest(n.conf(`{"type": "master"}`, `"prevResult": 1`), "green")
	n.addFails(hot, types.ErrTryAgainLater, "no Network")
	for _, prev := range []string{`1`, `{"ips": 1}`, `{"interfaces": [null]}`} {
		req := n.request(n.conf(`{"type": "master"}`, `"prevResult": `+prev))
		n.addFails(req, types.ErrInvalidNetworkConfig, "netconf: prevResult")
		n.del(req)
	}
	expectEqual(t, "calls", strings.Contains(n.read("calls"), "ADD"), false)
}

// The runtime's result is better than none: some plugins tear down nothing without it.
func TestDel_PassesPrevResultWithoutARecord(t *testing.T) {
	n := newTestNode(t)
	n.script("master", keepStdin)
	n.script("other", keepStdin)
	req := n.request(n.conf(`{"type": "master"}, {"type": "other", "name": "green"}`, `"prevResult": `+previous))
	n.del(req)
	expectEqual(t, "prevResult of the default network's plugin", n.prevResults("DEL.eth0"), []string{"10.9.0.1/24"})
	expectEqual(t, "prevResult of another network's plugin", n.prevResults("DEL."+greenIf), []string{""})
}
