//go:build root

package metaplugin

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/libcni"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
)

// multusDelegate is an element of the file that Multus writes before it runs the delegates.
type multusDelegate struct {
	Name          string
	IfnameRequest string `json:"ifnameRequest,omitempty"`
	Bytes         []byte
}

// newMultusPod is a running Pod that Multus attached: to its default network, to a bridge on net1,
// and to a list on an interface that the Pod named. As Multus does, it runs the delegates through
// the CNI library, whose cache is in Multus's directory.
func newMultusPod(t *testing.T) *testNode {
	t.Helper()
	n := newTestNode(t)
	const version = `"cniVersion": "0.4.0", "name": `
	n.attachByMultus(
		multusDelegate{"cbr0", "", []byte(withKey(n.ptpConf(1), version+`"cbr0"`))},
		multusDelegate{"tenant/green", "", []byte(withKey(n.bridgeConf(2), version+`"green-net"`))},
		multusDelegate{"tenant/blue", "blue0", []byte(withKey(n.bridgeChain(3,
			`{"type": "tuning", "capabilities": {"mac": true}}`), version+`"blue"`))},
	)
	n.expectInterfaces("blue0", "eth0", "net1")
	n.expectLeases(3)
	n.plugin.API = nil // a DEL asks nobody
	return n
}

func (n *testNode) attachByMultus(delegates ...multusDelegate) {
	n.Helper()
	n.writeMultus(delegates)
	library := libcni.NewCNIConfigWithCacheDir([]string{n.path("plugins"), pluginDir}, n.path("multus"), nil)
	for i, d := range delegates {
		rt := &libcni.RuntimeConf{ContainerID: container, NetNS: n.netns.Path, IfName: d.IfnameRequest}
		switch {
		case rt.IfName == "" && i == 0:
			rt.IfName = "eth0"
		case rt.IfName == "":
			rt.IfName = "net" + string(rune('0'+i))
		default:
			rt.CapabilityArgs = map[string]any{"mac": "0a:58:00:00:00:01"}
		}
		config := d.Bytes
		if !strings.Contains(string(config), `"plugins"`) {
			config = fmt.Appendf(nil, `{"cniVersion": "0.4.0", "name": %q, "plugins": [%s]}`, nameOf(n, config), config)
		}
		list, err := libcni.NetworkConfFromBytes(config)
		must(n, err)
		_, err = library.AddNetworkList(n.Context(), list, rt)
		must(n, err)
	}
}

func nameOf(n *testNode, config []byte) string {
	n.Helper()
	var head struct{ Name string }
	must(n, json.Unmarshal(config, &head))
	return head.Name
}

func (n *testNode) writeMultus(delegates []multusDelegate) {
	n.Helper()
	data, err := json.Marshal(delegates)
	must(n, err)
	must(n, os.MkdirAll(n.path("multus"), 0o700))
	must(n, os.WriteFile(n.path("multus/"+container), data, 0o600))
}

// multusFiles returns what is in Multus's directory.
func (n *testNode) multusFiles() string {
	n.Helper()
	var names []string
	for _, pattern := range []string{"multus/*", "multus/results/*"} {
		files, err := filepath.Glob(n.path(pattern))
		must(n, err)
		for _, file := range files {
			if name, _ := filepath.Rel(n.path("multus"), file); name != "results" {
				names = append(names, name)
			}
		}
	}
	return strings.Join(names, " ")
}

func TestDel_OfWhatMultusAttachedLeavesNothing(t *testing.T) {
	for name, change := range map[string]func(n *testNode, req *Request){
		"while the Pod's namespace is there": func(*testNode, *Request) {},
		"without CNI_NETNS":                  func(_ *testNode, req *Request) { req.Netns = "" },
		"after the namespace went":           func(n *testNode, _ *Request) { n.netns.Remove() },
		"without the results": func(n *testNode, _ *Request) {
			must(n, os.RemoveAll(n.path("multus/results")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newMultusPod(t)
			n.undeletable() // what the netconf has now is not what the Pod has
			req := n.request(n.conf(`{"type": "stuck"}`))
			change(n, &req)
			n.del(req)
			n.expectNothingLeftOutside()
			expectEqual(t, "Multus's files", n.multusFiles(), "")
		})
	}
}

// The last to be attached is the first to be torn down, and the default network is the last.
func TestDel_OfWhatMultusAttachedHasOrderAndResults(t *testing.T) {
	n := newTestNode(t)
	n.script("rec", `case $CNI_COMMAND in
		ADD) echo '{"cniVersion": "0.4.0", "ips": [{"version": "4", "address": "10.9.9.9/24"}]}';;
		DEL) echo $CNI_COMMAND $CNI_IFNAME $CNI_ARGS $(grep -o '"prevResult"') >>calls;;
	esac`)
	conf := func(name string) []byte {
		return []byte(`{"cniVersion": "0.4.0", "type": "rec", "name": "` + name + `"}`)
	}
	n.attachByMultus(multusDelegate{"a", "", conf("a")}, multusDelegate{"t/b", "", conf("b")},
		multusDelegate{"t/c", "c0", conf("c")})
	n.del(n.request(n.conf(`{"type": "ptp"}`)))
	args := pod.CNIArgs("")
	n.expectCalls("DEL c0 "+args+` "prevResult"`, "DEL net1 "+args+` "prevResult"`, "DEL eth0 "+args+` "prevResult"`)
}

// What fails is on kactus's record from then on.
func TestDel_OfWhatMultusAttachedFails(t *testing.T) {
	n := newMultusPod(t)
	scratch := n.read("multus/" + container)
	n.script("bridge", "exit 1")
	req := n.request(n.conf(n.ptpConf(1)))
	n.delFails(req, CodeDelegate, "network green", "network blue")
	expectEqual(t, "Multus's files", n.multusFiles(), "")
	record := n.record()
	expectEqual(t, "recorded", ifNames(record.Attachments), "net1, blue0")
	if here, err := netns.Identify(n.netns.Path); err != nil || !here.Same(record.Netns) || record.Pod != pod {
		t.Errorf("got %+v, %v", record, err)
	}
	must(t, os.Remove(n.path("plugins/bridge")))
	n.run("and its own record counts if Multus's could not be removed", func() {
		must(n, os.WriteFile(n.path("multus/"+container), []byte(scratch), 0o600))
		n.del(req)
		n.expectNothingLeft()
	})
	n.run("until the next DEL", func() {
		n.del(req)
		expectEqual(n.T, "Multus's files", n.multusFiles(), "")
		n.expectNothingLeft()
	})
}

func TestDel_QuarantinesWhatMultusWroteBroken(t *testing.T) {
	for name, content := range map[string]string{
		"no JSON": `[{`, "nothing": ``, "no array": `{}`, "no delegates": `[]`, "null": `[null]`,
	} {
		t.Run(name, func(t *testing.T) {
			n := newMultusPod(t)
			must(t, os.WriteFile(n.path("multus/"+container), []byte(content), 0o600))
			n.del(n.request(n.conf(withKey(n.ptpConf(1), `"cniVersion": "0.4.0", "name": "cbr0"`))))
			n.expectLeases(2) // the default network is torn down by the netconf
			files := n.multusFiles()
			if !strings.HasPrefix(files, container+".") || !strings.Contains(files, ".corrupt results/") {
				t.Errorf("got %s", files)
			}
		})
	}
}

// Multus writes its file before it runs kactus as a delegate, and keeps it for its own DEL.
func TestMultus_AsTheOneThatCallsKactus(t *testing.T) {
	n := newTestNode(t)
	n.writeMultus([]multusDelegate{{"kactus", "", []byte(`{"type": "kactus", "name": "kactus"}`)}})
	req := n.request(n.conf(n.ptpConf(1)))
	n.add(req)
	for range 2 {
		n.del(req)
		n.expectNothingLeft()
		expectEqual(t, "Multus's files", n.multusFiles(), container)
	}
}

// While a node has Pods of both, a GC must not free the addresses of Multus's.
func TestGC_KeepsWhatMultusAttached(t *testing.T) {
	n, conf, _ := newTwoContainers(t)
	n.writeMultus([]multusDelegate{
		{"default", "", []byte(withKey(n.bridgeConf(1), `"cniVersion": "1.1.0", "name": "default"`))},
		{"tenant/green", "", []byte(withKey(n.bridgeConf(2), `"cniVersion": "1.1.0", "name": "green"`))},
	})
	must(t, os.Rename(n.path("multus/"+container), n.path("multus/m1")))
	n.gc(conf, "c1", "c2", "m1")
	n.expectValid("default", "c1/eth0", "c2/eth0", "m1/eth0")
	n.expectValid("green", "c1/"+greenIf, "c2/"+greenIf, "m1/net1")
	n.run("and tells the delegates nothing if it cannot be read", func() {
		must(n, os.WriteFile(n.path("multus/m1"), []byte("["), 0o600))
		must(n, os.Remove(n.path("gc.runs")))
		n.gcFails(gcRequest(conf, "c1", "c2", "m1"), CodeNotForwarded, "m1")
		expectEqual(n.T, "runs", n.read("gc.runs"), "")
	})
}

// On the way back to Multus, the runtime's DELs go to Multus, which does not know what kactus
// attached. kactus gc tears it down once the network namespace is gone.
func TestReclaim_AfterMultusGotTheDel(t *testing.T) {
	n := newTestNode(t)
	n.api.networks["tenant/green"] = n.bridgeConf(2)
	n.selectNetworks("green")
	n.add(n.request(n.conf(n.ptpConf(1))))
	n.netns.Remove()
	index, err := netns.Scan()
	must(t, err)
	must(t, n.plugin.Reclaim(t.Context(), func(r ledger.Record) bool { return index.Gone(r.Netns) }))
	n.expectNothingLeftOutside()
}
