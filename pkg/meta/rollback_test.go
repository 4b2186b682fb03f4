package meta

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

// failing prints a CNI error on ADD, and succeeds on DEL.
const failing = `[ $CNI_COMMAND = DEL ] && exit 0; echo because >&2; echo '{"code": 77, "msg": "it does not work", "details": "at all"}'; exit 1`

func TestWhateverNetworkFailsNothingIsLeft(t *testing.T) {
	for name, fails := range map[string]int{"the default": 0, "the second": 1, "the third": 2} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.plugin("failing", failing)
			configs := []string{n.ptp(1), n.bridged(2), n.ptp(3)}
			configs[fails] = `{"type": "failing"}`
			n.api.annotation = `[{"name": "green"}, {"name": "blue"}]`
			n.api.networks["tenant/green"], n.api.networks["tenant/blue"] = configs[1], configs[2]
			err := n.addFails(n.request(n.conf(configs[0])), CodeDelegate,
				"network "+[]string{"default", "green", "blue"}[fails], "plugin failing: it does not work")
			same(t, "details", err.Details, "failing: code 77; details: at all; stderr: because")
			n.nothingLeft()
		})
	}
}

func TestWhatWasStartedIsUndoneInReverseAndNothingElse(t *testing.T) {
	for name, c := range map[string]struct{ fails, diary string }{
		"the default": {"eth0", "ADD eth0\nDEL eth0"},
		"another":     {greenDevice, "ADD eth0\nADD " + greenDevice + "\nDEL " + greenDevice + "\nDEL eth0"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.plugin("diarist", `echo $CNI_COMMAND $CNI_IFNAME >>diary; [ $CNI_COMMAND$CNI_IFNAME = ADD`+c.fails+` ] && exit 1; echo '{"cniVersion":"1.0.0"}'`)
			n.api.annotation = `[{"name": "green"}]`
			n.api.networks["tenant/green"] = `{"type": "diarist"}`
			n.addFails(n.request(n.conf(`{"type": "diarist"}`)), CodeDelegate)
			same(t, "diary", n.read("diary"), c.diary)
			n.nothingLeft()
		})
	}
}

// Some plugins, such as firewall, undo nothing where a DEL does not bring the result of the ADD.
func TestWhatIsRolledBackIsUndoneWithItsResult(t *testing.T) {
	n := newNode(t)
	n.plugin("master", `cat >$CNI_COMMAND.json; echo '{"cniVersion":"1.0.0","ips":[{"address":"10.9.9.9/24"}]}'`)
	n.plugin("failing", failing)
	n.api.annotation = `[{"name": "green"}]`
	n.api.networks["tenant/green"] = `{"type": "failing"}`
	n.addFails(n.request(n.conf(`{"type": "master"}`)), CodeDelegate)
	if got := n.read("DEL.json"); !strings.Contains(got, `"prevResult":{`) || !strings.Contains(got, "10.9.9.9/24") {
		t.Errorf("the DEL read %s", got)
	}
}

func TestTheResultOfWhatCouldNotBeRolledBackIsKeptForADel(t *testing.T) {
	n := newNode(t)
	n.plugin("stuck", `cat >last.json; [ $CNI_COMMAND = DEL ] && exit 1; echo '{"cniVersion":"1.0.0","ips":[{"address":"10.9.9.9/24"}]}'`)
	n.plugin("failing", failing)
	n.api.annotation = `[{"name": "green"}]`
	n.api.networks["tenant/green"] = `{"type": "failing"}`
	req := n.request(n.conf(`{"type": "stuck"}`))
	n.addFails(req, CodeDelegate)
	n.plugin("stuck", `cat >last.json`)
	n.del(req)
	if got := n.read("last.json"); !strings.Contains(got, "10.9.9.9/24") {
		t.Errorf("the DEL read %s", got)
	}
	n.nothingLeft()
}

func TestWhatCannotBeRolledBackStaysInTheLedger(t *testing.T) {
	n := newNode(t)
	n.plugin("stuck", `echo stuck >&2; exit 1`)
	n.api.annotation = `[{"name": "green"}, {"name": "blue"}]`
	n.api.networks["tenant/green"] = `{"type": "stuck"}`
	n.api.networks["tenant/blue"] = n.bridged(2)
	req := n.request(n.conf(n.ptp(1)))
	err := n.addFails(req, CodeDelegate, "ADD of the delegate green")
	if !strings.Contains(err.Details, "not undone, and left in the ledger for a DEL: network green") {
		t.Errorf("details: %s", err.Details)
	}
	if left := n.netns.Devices(t); len(left) != 0 || len(n.leases()) != 0 {
		t.Errorf("left of the others: %v, %v", left, n.leases())
	}
	r := n.record()
	if len(r.Attachments) != 1 || r.Attachments[0].Device != greenDevice || r.Attachments[0].Failures != 1 || r.Attachments[0].State != ledger.Planned {
		t.Errorf("the ledger has %+v", r.Attachments)
	}
	n.plugin("stuck", ``) // mended
	n.del(req)
	n.nothingLeft()
}

func TestTheFirstCauseIsWhatTheRuntimeIsTold(t *testing.T) {
	n := newNode(t)
	// The second fails when the first has failed, whichever is started before the other, and the roll-back of both fails too.
	n.plugin("first", `[ -e first.pid ] || { echo $$ >first.tmp; mv first.tmp first.pid; }; [ $CNI_COMMAND = ADD ] && echo '{"msg": "the cause"}'; exit 1`)
	n.plugin("second", `
		if [ $CNI_COMMAND = ADD ]; then
			while [ ! -e first.pid ]; do sleep 0.01; done
			while [ -e /proc/$(cat first.pid) ]; do sleep 0.01; done
		fi
		echo '{"msg": "what followed"}'; exit 1`)
	n.diary("master")
	n.api.annotation = `[{"name": "green"}, {"name": "blue"}]`
	n.api.networks["tenant/green"] = `{"type": "second"}`
	n.api.networks["tenant/blue"] = `{"type": "first"}`
	err := n.addFails(n.request(n.conf(`{"type": "master"}`)), CodeDelegate, "network blue", "plugin first: the cause")
	if strings.Contains(err.Msg, "what followed") {
		t.Errorf("the message tells of what followed: %s", err.Msg)
	}
}

func TestARepeatedAddIsRefusedAndTouchesNothing(t *testing.T) {
	n := newNode(t)
	n.api.annotation = `[{"name": "green"}]`
	n.api.networks["tenant/green"] = n.bridged(2)
	req := n.request(n.conf(n.ptp(1)))
	n.add(req)
	before := []any{n.netns.Devices(t), n.netns.IPv4(t, "eth0"), n.netns.MAC(t, "eth0"), n.netns.MAC(t, greenDevice), n.leases(), n.read("ledger/c1.json")}
	n.addFails(req, CodeAttached, "eth0, "+greenDevice)
	after := []any{n.netns.Devices(t), n.netns.IPv4(t, "eth0"), n.netns.MAC(t, "eth0"), n.netns.MAC(t, greenDevice), n.leases(), n.read("ledger/c1.json")}
	same(t, "the Pod", after, before)
	n.del(req)
	n.nothingLeft()
}

func TestAnAddThatIsCancelledInTheMiddleIsRolledBack(t *testing.T) {
	n := newNode(t)
	n.plugin("slow", `[ $CNI_COMMAND = DEL ] && exit 0; : >begun; exec sleep 1000`)
	n.api.annotation = `[{"name": "green"}]`
	n.api.networks["tenant/green"] = `{"type": "slow"}`
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() {
		for ; t.Context().Err() == nil; time.Sleep(time.Millisecond) {
			if _, err := os.Stat(n.path("begun")); err == nil {
				break
			}
		}
		cancel(errors.New("the runtime hung up"))
	}()
	_, err := n.verbs.Add(ctx, n.request(n.conf(n.ptp(1))))
	n.check(err, CodeDelegate, []string{"network green", "it was ended: the runtime hung up"})
	n.nothingLeft()
}

func TestAnAddThatIsCancelledBeforeTheFirstDelegateMakesNothing(t *testing.T) {
	n := newNode(t)
	n.diary("master")
	ctx, cancel := context.WithCancel(context.Background())
	n.verbs.API = func() (API, error) { cancel(); return n.api, nil }
	_, err := n.verbs.Add(ctx, n.request(n.conf(`{"type": "master"}`)))
	n.check(err, types.ErrTryAgainLater, []string{"network default", "not begun"})
	same(t, "diary", n.read("diary"), "")
	n.nothingLeft()
}

func TestAMissingPluginIsFoundBeforeAnythingIsMade(t *testing.T) {
	n := newNode(t)
	n.diary("master")
	n.api.annotation = `[{"name": "green"}]`
	n.api.networks["tenant/green"] = `{"type": "nowhere"}`
	n.addFails(n.request(n.conf(`{"type": "master"}`)), CodeDelegate, "network green", "there is no nowhere in CNI_PATH")
	same(t, "diary", n.read("diary"), "")
	n.nothingLeft()
}

// The CNI library panics where it converts such a result, and does not read it again for the DEL.
func TestAResultWithAHoleIsRolledBack(t *testing.T) {
	for what, result := range map[string]string{
		"a null for a device":     `{"cniVersion":"0.4.0","interfaces":[null]}`,
		"an address that is none": `{"cniVersion":"1.0.0","ips":[{}]}`,
	} {
		t.Run(what, func(t *testing.T) {
			n := newNode(t)
			n.plugin("holes", `echo $CNI_COMMAND >>diary; echo '`+result+`'`)
			n.api.annotation = `[{"name": "green"}]`
			n.api.networks["tenant/green"] = `{"type": "holes"}`
			n.addFails(n.request(n.conf(n.ptp(1))), CodeDelegate, "network green", "plugin holes: read its result")
			same(t, "diary", n.read("diary"), "ADD\nDEL")
			n.nothingLeft()
		})
	}
}
