//go:build root

package metaplugin

import (
	"context"
	"os"
	"testing"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
)

// wrongNetns returns what a node agent may pass as CNI_NETNS though it does not lead to the Pod's
// namespace.
func wrongNetns(n *testNode) map[string]string {
	n.Helper()
	must(n, os.WriteFile(n.path("file"), nil, 0o600))
	return map[string]string{
		"another Pod's":        netnstest.New(n).Path,
		"the node's own":       "/proc/self/ns/net",
		"missing":              n.path("none"),
		"a process that ended": "/proc/4000000/ns/net",
		"no namespace":         n.path("file"),
		"empty":                "",
	}
}

func TestHotDel_UsesTheRecordedNamespaceIfItLives(t *testing.T) {
	n, req := newRunningPod(t)
	for name, path := range wrongNetns(n) {
		n.run(name, func() {
			green := n.hotRequest(req.Conf, "green")
			n.add(green)
			green.Netns = path
			n.del(green)
			n.expectInterfaces("eth0")
			n.expectLeases(1)
		})
	}
}

func TestDel_UsesTheRecordedNamespaceIfItLives(t *testing.T) {
	n, req := newGreenPod(t)
	for name, path := range wrongNetns(n) {
		n.run(name, func() {
			wrong := req
			wrong.Netns = path
			n.del(wrong)
			n.expectNothingLeft()
		})
		n.add(req)
	}
}

// The agent recorded another path than the runtime's, and the process that it names has ended.
func TestHotDel_TouchesNothingIfItCannotTell(t *testing.T) {
	for name, change := range map[string]func(n *testNode, r *ledger.Record){
		"mounted elsewhere": func(n *testNode, r *ledger.Record) { r.Netns.Path = n.path("none") },
		"recorded in another mount namespace": func(n *testNode, r *ledger.Record) {
			n.netns.Remove()
			r.Netns.Mounts++
		},
	} {
		t.Run(name, func(t *testing.T) {
			n, req := newRunningPod(t)
			green := n.hotRequest(req.Conf, "green")
			n.add(green)
			r := n.record()
			n.del(req)
			green.ContainerID, r.ContainerID = "c2", "c2"
			change(n, &r)
			locked := n.lock("c2")
			must(t, locked.WritePlanned(context.Background(), r.Netns, r.Pod, r.IfName, r.Attachments))
			locked.Close()
			before := n.read("ledger/c2.json")
			for name, path := range wrongNetns(n) {
				n.run(name, func() {
					green.Netns = path
					n.delFails(green, types.ErrInvalidNetNS, "CNI_NETNS", path, r.Netns.Path)
					expectEqual(n.T, "record", n.read("ledger/c2.json"), before)
				})
			}
		})
	}
}

func TestHotDel_FreesLeasesIfTheNamespaceIsGone(t *testing.T) {
	for _, reboot := range []bool{true, false} {
		n, req := newRunningPod(t)
		green := n.hotRequest(req.Conf, "green")
		n.add(green)
		r := n.record()
		n.netns.Remove()
		if reboot {
			r.Netns.BootID = "e0f6a1d2-0000-0000-0000-000000000000"
		}
		must(t, os.Remove(n.path("ledger/c1.json")))
		locked := n.lock(container)
		must(t, locked.WritePlanned(context.Background(), r.Netns, r.Pod, r.IfName, r.Attachments))
		locked.Close()
		n.del(green)
		n.expectLeases(1)
	}
}

func TestDel_OfAnUnknownContainerLeavesTheNodesOwnNamespace(t *testing.T) {
	n := newTestNode(t)
	n.script("master", `echo "$CNI_COMMAND in '$CNI_NETNS'" >>calls`)
	req := n.request(n.conf(`{"type": "master"}`))
	req.Netns = "/proc/self/ns/net"
	n.del(req)
	n.expectCalls("DEL in ''")
}
