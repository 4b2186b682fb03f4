package meta

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
)

// runningPod is a Pod with its default network, and a Network green to add to it.
func runningPod(t *testing.T) (*node, Request) {
	t.Helper()
	n := newNode(t)
	n.api.networks["tenant/green"] = n.bridged(2)
	req := n.request(n.conf(n.ptp(1)))
	n.add(req)
	n.api.pods.Store(0)
	return n, req
}

func TestAHotAddAttachesOneNetworkAndReadsNoPod(t *testing.T) {
	n, req := runningPod(t)
	eth0 := n.netns.MAC(t, "eth0")
	result := n.add(n.green(req.Conf))
	same(t, "devices", n.netns.Devices(t), []string{"eth0", greenDevice})
	same(t, "result", "["+addressOf(t, result)+"]", n.netns.IPv4(t, greenDevice))
	same(t, "Pods read", n.api.pods.Load(), 0)
	same(t, "MAC of eth0", n.netns.MAC(t, "eth0"), eth0)
	n.del(req)
	n.nothingLeft()
}

func TestAHotAddAgainAnswersWithTheSameResult(t *testing.T) {
	n, req := runningPod(t)
	first := n.add(n.green(req.Conf))
	mac, leases := n.netns.MAC(t, greenDevice), n.leases()
	n.verbs.API = func() (API, error) { // an agent that restarts, while the apiserver is down
		t.Error("it asks the apiserver")
		return n.api, nil
	}
	second := n.add(n.green(req.Conf))
	same(t, "result", addressOf(t, second), addressOf(t, first))
	same(t, "MAC", n.netns.MAC(t, greenDevice), mac)
	same(t, "leases", n.leases(), leases)
	n.add(n.hot(req.Conf, greenDevice, podargs.Hot{Network: "green", MAC: network.MAC(mac)}))

	older := req.Conf
	older.CNIVersion = "0.3.1"
	same(t, "version", n.add(n.green(older)).Version(), "0.3.1")
}

func TestAHotAddOfWhatThePodAlreadyHasAnswersWithItsResult(t *testing.T) {
	n := newNode(t)
	n.api.annotation = `[{"name": "green"}]`
	n.api.networks["tenant/green"] = n.bridged(2)
	req := n.request(n.conf(n.ptp(1)))
	n.add(req)
	same(t, "result", "["+addressOf(t, n.add(n.green(req.Conf)))+"]", n.netns.IPv4(t, greenDevice))
	same(t, "leases", len(n.leases()), 2)
}

func TestAHotAddUndoesFirstWhatAnEarlierOneLeftHalfMade(t *testing.T) {
	n, req := runningPod(t)
	book, err := n.lock(context.Background(), container)
	must(t, err)
	killed := n.green(req.Conf) // its delegate ran, and its result never reached the ledger
	attachment, err := n.verbs.planHot(context.Background(), killed)
	must(t, err)
	e := ledger.Entry{Attachment: attachment, State: ledger.Planned, Args: pod.CNIArgs("")}
	must(t, book.Plan(context.Background(), book.Record().Netns, pod, "", []ledger.Entry{e}))
	_, err = n.runner.Add(context.Background(), call(container, n.netns.Path, e))
	must(t, err)
	book.Close()
	same(t, "leases", len(n.leases()), 2)

	result := n.add(killed)
	same(t, "leases", len(n.leases()), 2)
	same(t, "result", "["+addressOf(t, result)+"]", n.netns.IPv4(t, greenDevice))
	same(t, "attachments", len(n.record().Attachments), 2)
}

func TestAHotAddMakesADeviceAgainThatWasLost(t *testing.T) {
	n, req := runningPod(t)
	n.add(n.green(req.Conf))
	must(t, n.netns.Links(t).LinkDel(n.netns.Link(t, greenDevice)))
	result := n.add(n.green(req.Conf))
	same(t, "result", "["+addressOf(t, result)+"]", n.netns.IPv4(t, greenDevice))
	same(t, "leases", len(n.leases()), 2)
	n.del(req)
	n.nothingLeft()
}

// What a DEL began to undo is not whole, though its device is there: agents call DEL, and whatever it says, then ADD.
func TestAHotAddDoesNotTakeWhatADelFailedToUndoForWhole(t *testing.T) {
	n, req := runningPod(t)
	n.plugin("sometimes", `echo $CNI_COMMAND >>diary; [ $CNI_COMMAND = DEL ] && [ -e broken ] && exit 1; echo '{"cniVersion":"1.0.0"}'`)
	n.api.networks["tenant/green"] = strings.Replace(`{"plugins": [BRIDGE, {"type": "sometimes"}]}`, "BRIDGE", n.bridged(2), 1)
	n.add(n.green(req.Conf))
	must(t, os.WriteFile(n.path("broken"), nil, 0o600))
	n.delFails(n.green(req.Conf), CodeDelegate)
	n.addFails(n.green(req.Conf), CodeDelegate, "undo what an earlier ADD left half made")
	must(t, os.Remove(n.path("broken")))
	n.add(n.green(req.Conf))
	same(t, "diary", n.read("diary"), "ADD\nDEL\nDEL\nDEL\nADD")
	same(t, "failures", n.record().Attachments[1].Failures, 0)
}

func TestAHotAddWithAnotherMACAddressIsRefusedAndTouchesNothing(t *testing.T) {
	n, req := runningPod(t)
	n.add(n.hot(req.Conf, greenDevice, podargs.Hot{Network: "green", MAC: "0a:00:00:00:00:01"}))
	n.addFails(n.hot(req.Conf, greenDevice, podargs.Hot{Network: "green", MAC: "0a:00:00:00:00:02"}), CodeAttached, "0a:00:00:00:00:01", "0a:00:00:00:00:02")
	same(t, "MAC", n.netns.MAC(t, greenDevice), "0a:00:00:00:00:01")
}

func TestAHotVerbMustNameTheNetworksDevice(t *testing.T) {
	n, req := runningPod(t)
	for _, device := range []string{"eth0", blueDevice} {
		wrong := n.hot(req.Conf, device, podargs.Hot{Network: "green"})
		n.addFails(wrong, types.ErrInvalidEnvironmentVariables, "CNI_IFNAME", device, greenDevice)
		n.delFails(wrong, types.ErrInvalidEnvironmentVariables, "CNI_IFNAME", device, greenDevice)
	}
	same(t, "devices", n.netns.Devices(t), "[eth0]")
}

func TestAHotAddOfANetworkWhoseDeviceNameAnotherHasIsRefused(t *testing.T) {
	n, req := runningPod(t)
	const one, other, shared = "n-009b5fbe0257", "n-ee6b99c6809e", "netc78e9611f93e"
	n.api.networks["tenant/"+one], n.api.networks["tenant/"+other] = n.bridged(3), n.bridged(4)
	n.add(n.hot(req.Conf, shared, podargs.Hot{Network: one}))
	mac := n.netns.MAC(t, shared)
	n.addFails(n.hot(req.Conf, shared, podargs.Hot{Network: other}), types.ErrInvalidNetworkConfig, one, other, shared)
	n.del(n.hot(req.Conf, shared, podargs.Hot{Network: other})) // it is not there
	same(t, "MAC", n.netns.MAC(t, shared), mac)
}

func TestAHotAddInAnotherNamespaceIsRefused(t *testing.T) {
	n, req := runningPod(t)
	other := n.green(req.Conf)
	elsewhere := netnstest.New(t)
	other.Netns = elsewhere.Path
	n.addFails(other, CodeAttached, "network green", n.netns.Path)
	same(t, "devices there", elsewhere.Devices(t), "[]")
}

func TestTheDefaultNetworkIsNotForAHotVerbToUndo(t *testing.T) {
	n := newNode(t)
	n.api.annotation = `[{"name": "green", "isPrimary": true}]`
	n.api.networks["tenant/green"] = n.bridged(2)
	req := n.request(n.conf(n.ptp(1)))
	n.add(req)
	same(t, "result of a hot ADD", "["+addressOf(t, n.add(n.green(req.Conf)))+"]", n.netns.IPv4(t, "eth0"))
	n.delFails(n.green(req.Conf), CodeAttached, "the Pod's default network on eth0")
	same(t, "devices", n.netns.Devices(t), "[eth0]")

	must(t, n.netns.Links(t).LinkDel(n.netns.Link(t, "eth0")))
	n.addFails(n.green(req.Conf), CodeAttached, "has lost its device")
	n.del(req)
	n.nothingLeft()
}

func TestAHotAddThatFailsLeavesThePodAsItWas(t *testing.T) {
	n, req := runningPod(t)
	n.plugin("failing", failing)
	n.api.networks["tenant/green"] = strings.Replace(`{"plugins": [BRIDGE, {"type": "failing"}]}`, "BRIDGE", n.bridged(2), 1)
	before := n.read("ledger/c1.json")
	n.addFails(n.green(req.Conf), CodeDelegate, "network green", "it does not work")
	same(t, "devices", n.netns.Devices(t), "[eth0]")
	same(t, "leases", len(n.leases()), 1)
	same(t, "ledger", n.read("ledger/c1.json"), before)
}

func TestAHotDelLeavesTheOthers(t *testing.T) {
	n, req := runningPod(t)
	n.api.networks["tenant/blue"] = n.ptp(3)
	n.add(n.green(req.Conf))
	n.add(n.hot(req.Conf, blueDevice, podargs.Hot{Network: "blue"}))
	n.del(n.green(req.Conf))
	same(t, "devices", n.netns.Devices(t), []string{"eth0", blueDevice})
	same(t, "leases", len(n.leases()), 2)
	if _, known := n.record().Find(greenDevice); known {
		t.Error("the ledger still has green")
	}
	n.del(n.green(req.Conf)) // and again
	same(t, "devices", n.netns.Devices(t), []string{"eth0", blueDevice})
	n.del(req)
	n.nothingLeft()
}

func TestAHotDelOfAContainerThatIsNotKnownSucceeds(t *testing.T) {
	n := newNode(t)
	n.diary("master")
	n.del(n.green(n.conf(`{"type": "master"}`)))
	same(t, "diary", n.read("diary"), "")
	n.nothingLeft()
}

func TestHotNetworksOfAPodThatKactusDidNotMakeGoWithIt(t *testing.T) {
	n := newNode(t)
	n.diary("master")
	n.api.networks["tenant/green"] = n.bridged(2)
	conf := n.conf(`{"type": "master"}`)
	n.add(n.green(conf))
	n.del(n.request(conf))
	same(t, "diary", n.read("diary"), "DEL eth0")
	n.nothingLeft()
}

func TestAHotAddsRecordKnowsItsResult(t *testing.T) {
	n, req := runningPod(t)
	result := n.add(n.green(req.Conf))
	e, _ := n.record().Find(greenDevice)
	want, err := json.Marshal(result)
	must(t, err)
	same(t, "result", string(e.Result), string(want))
	same(t, "state", e.State, ledger.Attached)
}

func TestADelOfAHotDeviceThatNamesNoNetworkUndoesNothing(t *testing.T) {
	n, req := runningPod(t)
	n.del(req)
	n.add(n.green(req.Conf)) // now the ledger knows of a hot network alone
	wrong := req
	wrong.Device = greenDevice
	n.delFails(wrong, types.ErrInvalidEnvironmentVariables, greenDevice, "K8S_POD_NETWORK")
	same(t, "devices", n.netns.Devices(t), []string{greenDevice})
	n.del(req)
	n.nothingLeft()
}
