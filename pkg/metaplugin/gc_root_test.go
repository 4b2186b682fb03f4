//go:build root

package metaplugin

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
)

// recordGC makes the plugin bridge write what a GC passes to it to the file gc.NAME, where NAME is
// that of the delegate.
func (n *testNode) recordGC() {
	n.script("bridge", `[ $CNI_COMMAND = GC ] || exec `+pluginDir+`/bridge
		cat >gc.tmp.$$; mv gc.tmp.$$ gc.$(sed 's/.*"name":"\([a-z]*\)".*/\1/' gc.tmp.$$); echo ran >>gc.runs`)
}

// noGC means that a delegate ran no GC.
const noGC = "no GC"

// expectValid compares the attachments, as CONTAINER/INTERFACE, that the delegate's last GC was
// passed as valid.
func (n *testNode) expectValid(delegate string, want ...string) {
	n.Helper()
	got := noGC
	if data := n.read("gc." + delegate); data != "" {
		var stdin struct {
			Valid []types.GCAttachment `json:"cni.dev/valid-attachments"`
		}
		must(n, json.Unmarshal([]byte(data), &stdin))
		all := []string{}
		for _, a := range stdin.Valid {
			all = append(all, a.ContainerID+"/"+a.IfName)
		}
		got = strings.Join(all, " ")
	}
	expectEqual(n.T, "valid attachments of "+delegate, got, strings.Join(want, " "))
}

// otherContainer returns a request for a container that has a network namespace of its own.
func (n *testNode) otherContainer(id string, conf netconf.Conf) Request {
	n.Helper()
	req := n.request(conf)
	req.ContainerID, req.Netns = id, netnstest.New(n).Path
	return req
}

// gcRequest returns the request of a GC that lists the eth0 of those containers.
func gcRequest(conf netconf.Conf, containers ...string) Request {
	conf.ValidAttachments = []types.GCAttachment{}
	for _, id := range containers {
		conf.ValidAttachments = append(conf.ValidAttachments, types.GCAttachment{ContainerID: id, IfName: "eth0"})
	}
	return Request{Conf: conf}
}

func (n *testNode) gc(conf netconf.Conf, containers ...string) {
	n.Helper()
	if err := n.plugin.GC(context.Background(), gcRequest(conf, containers...)); err != nil {
		n.Fatalf("GC: %v", err)
	}
}

func (n *testNode) gcFails(req Request, code uint, words ...string) {
	n.Helper()
	expectError(n.T, n.plugin.GC(context.Background(), req), code, words...)
}

// newTwoContainers returns a node with the containers c1, which has the network green, and c2, to
// which it was hot added; their default network is a bridge.
func newTwoContainers(t *testing.T) (*testNode, netconf.Conf, [2]Request) {
	t.Helper()
	n := newTestNode(t)
	n.recordGC()
	conf := n.conf110(n.bridgeConf(1))
	n.api.networks["tenant/green"] = n.bridgeConf(2)
	n.selectNetworks("green")
	c1 := n.request(conf)
	n.add(c1)
	n.api.annotation = ""
	c2 := n.otherContainer("c2", conf)
	n.add(c2)
	green := n.hotRequest(conf, "green")
	green.ContainerID, green.Netns = c2.ContainerID, c2.Netns
	n.add(green)
	return n, conf, [2]Request{c1, c2}
}

func TestGC_KeepsWhatIsListed(t *testing.T) {
	n, conf, requests := newTwoContainers(t)
	before := n.leases()
	n.plugin.API = nil // is not asked
	n.gc(conf, "c1", "c2")
	expectEqual(t, "leases", n.leases(), before)
	n.expectValid("default", "c1/eth0", "c2/eth0")
	n.expectValid("green", "c1/"+greenIf, "c2/"+greenIf)
	for _, req := range requests {
		n.del(req)
	}
	n.expectNothingLeft()
}

func TestGC_ReclaimsWhatIsNotListed(t *testing.T) {
	n, conf, requests := newTwoContainers(t)
	n.gc(conf, "c1")
	n.expectLeases(2)
	expectEqual(t, "interfaces of c2", (&netnstest.Netns{Path: requests[1].Netns}).Devices(t), "[]")
	n.expectInterfaces("eth0", greenIf)
	n.expectValid("default", "c1/eth0")
	n.expectValid("green", "c1/"+greenIf)
	n.gc(conf)
	n.expectNothingLeft()
	n.run("the last GC passes an empty list", func() { n.expectValid("default") })
}

func TestGC_FreesLeasesIfTheNamespacesAreGone(t *testing.T) {
	n, conf, requests := newTwoContainers(t)
	for _, req := range requests {
		(&netnstest.Netns{Path: req.Netns}).Remove()
	}
	n.gc(conf)
	n.expectNothingLeftOutside()
}

func TestGC_TriesOrphansAgain(t *testing.T) {
	n, req := newStuckPod(t)
	n.delUntilOrphan(req)
	n.expectOneOrphan()
	conf := n.conf110(n.ptpConf(1))
	n.gc(conf, container) // its container is listed, so the orphan may be in use
	n.expectOneOrphan()
	n.gcFails(gcRequest(conf), CodeDelegate, "container c1", "network green", "stuck")
	expectEqual(t, "failures", n.expectOneOrphan().Failures, orphanAfterFailures+1)
	n.script("stuck", `exit 0`)
	n.gc(conf)
	n.expectNothingLeft()
}

func TestGC_GoesOnAfterAFailure(t *testing.T) {
	n, conf, _ := newTwoContainers(t)
	n.script("sick", `[ $CNI_COMMAND != ADD ] && echo '{"code": 42, "msg": "sick at '$CNI_COMMAND'"}' && exit 1
		echo '{"cniVersion": "1.1.0"}'`)
	n.api.networks["tenant/blue"] = `{"type": "sick"}`
	n.selectNetworks("blue")
	n.add(n.otherContainer("a0", conf)) // the first in order
	n.gcFails(gcRequest(conf), CodeDelegate, "container a0", "network blue", "sick at DEL", "sick at GC")
	n.expectLeases(0)
	n.expectValid("green")
	n.expectValid("default")
}

// A runtime must not run a GC while it adds, but node agents add hot networks at any time.
func TestGC_LeavesABusyContainerAlone(t *testing.T) {
	n, conf, _ := newTwoContainers(t)
	defer n.lock("c2").Close()
	n.gc(conf, "c1")
	n.expectLeases(4)
	n.expectValid("default", "c1/eth0", "c2/eth0")
	n.expectValid("green", "c1/"+greenIf, "c2/"+greenIf)
}

func TestGC_LeavesWhatIsNewerThanItself(t *testing.T) {
	n, conf, _ := newTwoContainers(t)
	var asked atomic.Bool
	n.plugin.Now = func() time.Time {
		if !asked.Swap(true) { // the GC asks for its start first
			return time.Now().Add(-time.Hour)
		}
		return time.Now()
	}
	n.plugin.Parallel = 1
	n.gc(conf)
	n.expectLeases(4)
	n.expectValid("default", "c1/eth0", "c2/eth0")
}

func TestGC_DoesNothing(t *testing.T) {
	n, conf, _ := newTwoContainers(t)
	n.run("without a list", func() {
		n.gcFails(Request{Conf: conf}, types.ErrInvalidNetworkConfig, "cni.dev/valid-attachments")
	})
	n.run("in a version that has no GC", func() {
		older := conf
		older.CNIVersion = "1.0.0"
		n.gcFails(gcRequest(older), types.ErrIncompatibleCNIVersion, "1.0.0", "GC")
	})
	n.run("if it is disabled", func() {
		disabled := conf
		disabled.DisableGC = true
		n.gc(disabled)
	})
	n.run("if the ledger cannot be read", func() {
		n.store.fail("Records")
		n.gcFails(gcRequest(conf), types.ErrIOFailure, errDisk.Error())
	})
	n.expectLeases(4)
	n.expectValid("default", noGC)
}

func TestGC_TimesInTheFuture(t *testing.T) {
	n, conf, _ := newTwoContainers(t)
	n.now = time.Now().Add(-24 * time.Hour) // the clock was set back after the ADDs
	n.gc(conf)
	n.expectLeases(0)
}
