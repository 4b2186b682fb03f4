package meta

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
)

// collecting makes bridge, at a GC, leave what it is told in the file gc.NAME, where NAME is the delegate's.
func (n *node) collecting() {
	n.plugin("bridge", `[ $CNI_COMMAND = GC ] || exec `+pluginDir+`/bridge
		cat >gc.tmp.$$; mv gc.tmp.$$ gc.$(sed 's/.*"name":"\([a-z]*\)".*/\1/' gc.tmp.$$); echo ran >>gc.runs`)
}

// told is what the delegate of that name was told to be valid, as "container/device", by its last GC.
func (n *node) told(name string) string {
	n.Helper()
	var stdin struct {
		Valid []types.GCAttachment `json:"cni.dev/valid-attachments"`
	}
	data := n.read("gc." + name)
	if data == "" {
		return "nothing"
	}
	must(n.T, json.Unmarshal([]byte(data), &stdin))
	all := []string{}
	for _, a := range stdin.Valid {
		all = append(all, a.ContainerID+"/"+a.IfName)
	}
	return strings.Join(all, " ")
}

// another is a request for another container, with a network namespace of its own.
func (n *node) another(id string, conf netconf.Conf) Request {
	n.Helper()
	req := n.request(conf)
	req.ContainerID, req.Netns = id, netnstest.New(n).Path
	return req
}

// valid is the netconf of a GC that lists the eth0 of those containers.
func valid(conf netconf.Conf, containers ...string) netconf.Conf {
	conf.ValidAttachments = []types.GCAttachment{}
	for _, id := range containers {
		conf.ValidAttachments = append(conf.ValidAttachments, types.GCAttachment{ContainerID: id, IfName: "eth0"})
	}
	return conf
}

func (n *node) gc(conf netconf.Conf) {
	n.Helper()
	if err := n.verbs.GC(context.Background(), conf); err != nil {
		n.Fatalf("GC: %v", err)
	}
}

func (n *node) gcFails(conf netconf.Conf, code uint, words ...string) *types.Error {
	n.Helper()
	err := n.verbs.GC(context.Background(), conf)
	if err == nil {
		n.Fatal("GC succeeded")
	}
	return n.check(err, code, words)
}

// collected is a node with the containers c1, which has the network green, and c2, which has it hot; the default network is a bridge.
func collected(t *testing.T) (*node, netconf.Conf, [2]Request) {
	t.Helper()
	n := newNode(t)
	n.collecting()
	conf := n.conf110(n.bridged(1))
	n.api.networks["tenant/green"] = n.bridged(2)
	n.api.annotation = `[{"name": "green"}]`
	one := n.request(conf)
	n.add(one)
	n.api.annotation = ""
	two := n.another("c2", conf)
	n.add(two)
	hot := n.green(conf)
	hot.ContainerID, hot.Netns = two.ContainerID, two.Netns
	n.add(hot)
	return n, conf, [2]Request{one, two}
}

func TestAGCTouchesNothingThatIsValidAndTellsEachDelegateOfItsOwn(t *testing.T) {
	n, conf, pods := collected(t)
	before := n.leases()
	n.verbs.API = nil // it asks the apiserver nothing
	n.gc(valid(conf, "c1", "c2"))
	same(t, "leases", n.leases(), before)
	same(t, "the default network's", n.told("default"), "c1/eth0 c2/eth0")
	same(t, "green's", n.told("green"), "c1/"+greenDevice+" c2/"+greenDevice)
	for _, pod := range pods {
		n.del(pod)
	}
	n.nothingLeft()
}

func TestAGCUndoesTheContainersThatAreNotListedWithTheirHotNetworks(t *testing.T) {
	n, conf, pods := collected(t)
	n.gc(valid(conf, "c1"))
	same(t, "leases", len(n.leases()), 2)
	same(t, "devices of c2", (&netnstest.Netns{Path: pods[1].Netns}).Devices(t), "[]")
	same(t, "devices of c1", n.netns.Devices(t), []string{"eth0", greenDevice})
	same(t, "the default network's", n.told("default"), "c1/eth0")
	same(t, "green's", n.told("green"), "c1/"+greenDevice)
	n.gc(valid(conf))
	n.nothingLeft()
	same(t, "the default network's, when there is no record", n.told("default"), "")
}

func TestAGCOfPodsWhoseNamespacesAreGoneFreesTheirLeases(t *testing.T) {
	n, conf, pods := collected(t)
	for _, pod := range pods {
		(&netnstest.Netns{Path: pod.Netns}).Remove()
	}
	n.gc(valid(conf))
	n.nothingLeftOutside()
}

func TestAGCTriesOrphansAgain(t *testing.T) {
	n, req := stuckPod(t)
	must(t, os.Remove(n.path("plugins/stuck")))
	n.del(req)
	same(t, "orphans", len(n.record().Orphans), 1)
	conf := n.conf110(n.ptp(1))
	n.gc(valid(conf, container)) // as long as its container is listed, it may be in use
	same(t, "orphans of a listed container", len(n.record().Orphans), 1)
	n.gcFails(valid(conf), CodeDelegate, "container c1", "network green", "stuck")
	same(t, "failures", n.record().Orphans[0].Failures, 2)
	n.plugin("stuck", `exit 0`)
	n.gc(valid(conf))
	n.nothingLeft()
}

func TestAGCGoesOnPastWhatFailsAndTellsOfAllOfIt(t *testing.T) {
	n, conf, _ := collected(t)
	n.plugin("sick", `[ $CNI_COMMAND != ADD ] && echo '{"code": 42, "msg": "sick at '$CNI_COMMAND'"}' && exit 1; echo '{"cniVersion": "1.1.0"}'`)
	n.api.networks["tenant/blue"] = `{"type": "sick"}`
	n.api.annotation = `[{"name": "blue"}]`
	n.add(n.another("a0", conf)) // first in order
	n.gcFails(valid(conf), CodeDelegate, "container a0", "network blue", "sick at DEL", "sick at GC")
	same(t, "leases", len(n.leases()), 0)
	same(t, "green's", n.told("green"), "nothing") // nobody has it any more
	same(t, "the default network's", n.told("default"), "")
}

// A runtime must not call GC while it adds; but node agents add hot networks whenever they like.
func TestAGCLeavesAContainerAloneThatAVerbWorksAt(t *testing.T) {
	n, conf, _ := collected(t)
	book, err := n.verbs.Lock(context.Background(), "c2")
	must(t, err)
	n.gc(valid(conf, "c1"))
	same(t, "leases", len(n.leases()), 4)
	same(t, "the default network's", n.told("default"), "c1/eth0 c2/eth0")
	same(t, "green's", n.told("green"), "c1/"+greenDevice+" c2/"+greenDevice)
	book.Close()
}

func TestAGCLeavesWhatWasMadeSinceItBeganAlone(t *testing.T) {
	n, conf, _ := collected(t)
	n.now = time.Now().Add(-time.Hour) // when the GC began
	n.gc(valid(conf))
	same(t, "leases", len(n.leases()), 4)
	same(t, "the default network's", n.told("default"), "c1/eth0 c2/eth0")
}

func TestNoNetworkIsAddedWhileTheDelegatesAreToldWhatIsValid(t *testing.T) {
	n, conf, _ := collected(t)
	n.plugin("bridge", `[ $CNI_COMMAND = GC ] || exec `+pluginDir+`/bridge
		echo >begun; while [ ! -e go ]; do sleep 0.01; done`)
	done := make(chan error)
	go func() { done <- n.verbs.GC(context.Background(), valid(conf, "c1", "c2")) }()
	for ; !exists(n.path("begun")); time.Sleep(time.Millisecond) {
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	n.api.networks["tenant/blue"] = n.bridged(3)
	hot := n.request(conf)
	hot.Device, hot.Args.Hot = blueDevice, n.green(conf).Args.Hot
	hot.Args.Hot.Network = "blue"
	_, err := n.verbs.Add(ctx, hot)
	n.check(err, types.ErrTryAgainLater, []string{"another verb still runs"})
	must(t, os.WriteFile(n.path("go"), nil, 0o600))
	must(t, <-done)
	n.add(hot)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// A list that lacks an attachment would have the delegate free its addresses under a live Pod.
func TestDelegatesAreNotToldWhereTheLedgerCannotSayAllThatIsValid(t *testing.T) {
	for what, spoil := range map[string]func(n *node){
		"a record that does not read": func(n *node) { must(n.T, os.WriteFile(n.path("ledger/c2.json"), []byte("{"), 0o600)) },
		"a record that is gone":       func(n *node) { must(n.T, os.Remove(n.path("ledger/c2.json"))) },
		"a record that was set aside": func(n *node) { must(n.T, os.WriteFile(n.path("ledger/c2.json.20260101T000000.0.corrupt"), nil, 0o600)) },
	} {
		t.Run(what, func(t *testing.T) {
			n, conf, _ := collected(t)
			spoil(n)
			before := n.leases()
			n.gcFails(valid(conf, "c1", "c2"), CodeUntold, "c2")
			same(t, "runs", n.read("gc.runs"), "")
			same(t, "leases", n.leases(), before)
			n.gc(valid(conf, "c1")) // where c2 is not listed, it has nothing to lose
			same(t, "the default network's", n.told("default"), "c1/eth0")
		})
	}
}

func TestDelegatesOfOneNameAreToldOfEachOthersAttachments(t *testing.T) {
	n, conf, _ := collected(t)
	n.api.networks["tenant/blue"] = strings.Replace(n.bridged(2), "{", `{"name": "green", "mtu": 1400, `, 1) // with green's addresses
	n.api.annotation = `[{"name": "blue"}]`
	n.add(n.another("c3", conf))
	n.gc(valid(conf, "c1", "c2", "c3"))
	same(t, "green's", n.told("green"), "c1/"+greenDevice+" c2/"+greenDevice+" c3/"+blueDevice)
	same(t, "runs, one for each configuration", n.read("gc.runs"), "ran\nran\nran")
}

func TestAGCThatIsDisabledOrNotToldAnythingDoesNothing(t *testing.T) {
	n, conf, _ := collected(t)
	n.gcFails(conf, types.ErrInvalidNetworkConfig, "cni.dev/valid-attachments")
	conf = valid(conf)
	conf.DisableGC = true
	n.gc(conf)
	same(t, "leases", len(n.leases()), 4)
}

func TestASweepUndoesWhatIsStaleAlone(t *testing.T) {
	n, _, _ := collected(t)
	must(t, n.verbs.Sweep(context.Background(), func(r ledger.Record) bool { return r.ContainerID == "c2" }))
	same(t, "leases", len(n.leases()), 2)
	same(t, "devices of c1", n.netns.Devices(t), []string{"eth0", greenDevice})
}

func TestASweepAsksAgainWhenItHasTheContainersLock(t *testing.T) {
	n, _, _ := collected(t)
	var asked atomic.Int32
	must(t, n.verbs.Sweep(context.Background(), func(r ledger.Record) bool {
		return r.ContainerID == "c2" && asked.Add(1) == 1 // a verb came in between
	}))
	same(t, "leases", len(n.leases()), 4)
}

func TestADelegateIsNotToldToKeepWhatCouldNotBeUndone(t *testing.T) {
	n, conf, _ := collected(t)
	n.plugin("sick", `[ $CNI_COMMAND = DEL ] && exit 1; [ $CNI_COMMAND = GC ] && cat >gc.blue; echo '{"cniVersion": "1.1.0"}'`)
	n.api.networks["tenant/blue"] = `{"type": "sick"}`
	n.api.annotation = `[{"name": "blue"}]`
	for _, id := range []string{"c3", "c4"} {
		n.add(n.another(id, conf))
	}
	n.gcFails(valid(conf, "c1", "c2", "c3"), CodeDelegate, "container c4", "network blue")
	same(t, "blue's", n.told("blue"), "c3/"+blueDevice)
}
