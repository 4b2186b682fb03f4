//go:build root

package metaplugin

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

// failing is a plugin that prints a CNI error on ADD, and succeeds on DEL.
const failing = `[ $CNI_COMMAND = DEL ] && exit 0; echo because >&2
	echo '{"code": 77, "msg": "out of order", "details": "at all"}'; exit 1`

const resultWithAddress = `echo '{"cniVersion":"1.0.0","ips":[{"address":"10.9.9.9/24"}]}'`

func TestAdd_WritesThePlanFirst(t *testing.T) {
	n := newTestNode(t)
	must(t, os.Mkdir(n.path("seen"), 0o700))
	n.script("witness", `[ $CNI_COMMAND = ADD ] && cp ledger/c1.json seen/; `+emptyResult)
	n.selectNetworks("green")
	n.api.networks["tenant/green"] = n.bridgeConf(2)
	n.add(n.request(n.conf(`{"type": "witness"}`)))
	seen, err := ledger.At(n.path("seen"), "").ReadRecord(container)
	must(t, err)
	if len(seen.Attachments) != 2 {
		t.Fatalf("the first delegate saw the record %+v", seen)
	}
	for i, want := range []string{"eth0", greenIf} {
		a := seen.Attachments[i]
		if a.IfName != want || a.State != ledger.Planned || a.Config.Plugins == nil ||
			!strings.Contains(a.Args, "K8S_POD_NAME=app") {
			t.Errorf("the first delegate saw %+v", a)
		}
	}
}

func TestAdd_DefaultNetworkFirst(t *testing.T) {
	n := newTestNode(t)
	n.script("recorder", `echo begin $CNI_IFNAME >>calls; echo end $CNI_IFNAME >>calls; `+emptyResult)
	n.selectNetworks("green")
	n.api.networks["tenant/green"] = `{"type": "recorder"}`
	n.add(n.request(n.conf(`{"type": "recorder"}`)))
	n.expectCalls("begin eth0", "end eth0", "begin "+greenIf, "end "+greenIf)
}

func TestAdd_IndependentNetworksInParallel(t *testing.T) {
	n := newTestNode(t)
	n.plugin.ParallelPlugins = []string{"writes", "reads"}
	n.recorder("plain")
	// Each end of a FIFO waits for the other to be opened: one delegate after the other would hang.
	must(t, unix.Mkfifo(n.path("fifo"), 0o600))
	n.script("writes", `echo hello >fifo; `+emptyResult)
	n.script("reads", `read word <fifo; `+emptyResult)
	n.selectNetworks("green", "blue")
	n.api.networks["tenant/green"] = `{"type": "writes"}`
	n.api.networks["tenant/blue"] = `{"type": "reads"}`
	req := n.request(n.conf(`{"type": "plain"}`))
	n.add(req)
	n.del(req)
	n.expectNothingLeft()
}

func TestAdd_DelegatesInheritTheLock(t *testing.T) {
	n := newTestNode(t)
	n.script("holds", `readlink /proc/$$/fd/3 >$CNI_COMMAND.fd; `+emptyResult)
	req := n.request(n.conf(`{"type": "holds"}`))
	n.add(req)
	n.del(req)
	expectEqual(t, "descriptor 3 of the ADD", n.read("ADD.fd"), n.path("locks/lock"))
	expectEqual(t, "descriptor 3 of the DEL", n.read("DEL.fd"), n.path("locks/lock"))
}

func TestAdd_RollsBackOnFailure(t *testing.T) {
	networks := []string{"default", "green", "blue"}
	for failed, name := range networks {
		t.Run("of "+name, func(t *testing.T) {
			n := newTestNode(t)
			n.script("failing", failing)
			configs := []string{n.ptpConf(1), n.bridgeConf(2), n.ptpConf(3)}
			configs[failed] = `{"type": "failing"}`
			n.selectNetworks("green", "blue")
			n.api.networks["tenant/green"], n.api.networks["tenant/blue"] = configs[1], configs[2]
			err := n.addFails(n.request(n.conf(configs[0])), CodeDelegate,
				"network "+name, "plugin failing: out of order")
			expectEqual(t, "details", err.Details, "failing: code 77; details: at all; stderr: because")
			n.expectNothingLeft()
		})
	}
}

func TestAdd_RollsBackWhatItStartedInReverse(t *testing.T) {
	tests := []struct {
		name, failed string
		calls        []string
	}{
		{"the default network", "eth0", []string{"ADD eth0", "DEL eth0"}},
		{"another network", greenIf, []string{"ADD eth0", "ADD " + greenIf, "DEL " + greenIf, "DEL eth0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newTestNode(t)
			n.script("recorder", `echo $CNI_COMMAND $CNI_IFNAME >>calls
				[ $CNI_COMMAND$CNI_IFNAME = ADD`+tt.failed+` ] && exit 1; `+emptyResult)
			n.selectNetworks("green")
			n.api.networks["tenant/green"] = `{"type": "recorder"}`
			n.addFails(n.request(n.conf(`{"type": "recorder"}`)), CodeDelegate)
			n.expectCalls(tt.calls...)
			n.expectNothingLeft()
		})
	}
}

// Some plugins, such as firewall, tear down nothing if a DEL does not bring the result of the ADD.
func TestAdd_RollBackPassesResults(t *testing.T) {
	tests := []struct {
		name       string
		annotation string
		code       uint
	}{
		{"of a network that was made before another failed", `[{"name": "red"}]`, CodeDelegate},
		{"of a network that lacks the addresses asked for",
			`[{"name": "green", "isPrimary": true, "ips": ["10.7.0.5/24"]}]`, CodeNotHonored},
		{"of a network that lacks its MAC address",
			`[{"name": "green", "isPrimary": true, "ifMac": "0a:00:00:00:00:01"}]`, CodeNotHonored},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newTestNode(t)
			n.script("notes", `cat >$CNI_COMMAND.json; echo '{"cniVersion":"1.0.0","ips":[{"address":"10.9.9.9/24"}],
				"interfaces":[{"name":"eth0","mac":"0a:00:00:00:00:02","sandbox":"'$CNI_NETNS'"}]}'`)
			n.script("failing", failing)
			n.api.annotation = tt.annotation
			n.api.networks["tenant/green"] = `{"type": "notes"}`
			n.api.networks["tenant/red"] = `{"type": "failing"}`
			n.addFails(n.request(n.conf(`{"type": "notes"}`)), tt.code)
			got := n.read("DEL.json")
			if !strings.Contains(got, `"prevResult":{`) || !strings.Contains(got, "10.9.9.9/24") {
				t.Errorf("the DEL read %s", got)
			}
			n.expectNothingLeft()
		})
	}
}

func TestAdd_KeepsWhatCannotBeRolledBack(t *testing.T) {
	n := newTestNode(t)
	n.script("stuck", `echo stuck >&2; exit 1`)
	n.selectNetworks("green", "blue")
	n.api.networks["tenant/green"] = `{"type": "stuck"}`
	n.api.networks["tenant/blue"] = n.bridgeConf(2)
	req := n.request(n.conf(n.ptpConf(1)))
	err := n.addFails(req, CodeDelegate, "ADD of the delegate green")
	if !strings.Contains(err.Details, "not torn down, and left in the ledger for a DEL: network green") {
		t.Errorf("details: %s", err.Details)
	}
	n.expectPodRemoved()
	left := n.record().Attachments
	if len(left) != 1 || left[0].IfName != greenIf || left[0].Failures != 1 || left[0].State != ledger.Planned {
		t.Errorf("the ledger has %+v", left)
	}
	n.script("stuck", ``) // works again
	n.del(req)
	n.expectNothingLeft()
}

func TestAdd_KeepsTheResultOfWhatCannotBeRolledBack(t *testing.T) {
	n := newTestNode(t)
	n.script("stuck", `cat >last.json; [ $CNI_COMMAND = DEL ] && exit 1; `+resultWithAddress)
	n.script("failing", failing)
	n.selectNetworks("green")
	n.api.networks["tenant/green"] = `{"type": "failing"}`
	req := n.request(n.conf(`{"type": "stuck"}`))
	n.addFails(req, CodeDelegate)
	n.script("stuck", `cat >last.json`)
	n.del(req)
	if got := n.read("last.json"); !strings.Contains(got, "10.9.9.9/24") {
		t.Errorf("the DEL read %s", got)
	}
	n.expectNothingLeft()
}

func TestAdd_ForgetsWhatAMissingPluginNeverMade(t *testing.T) {
	n := newTestNode(t)
	n.recorder("gone")
	n.script("master", `rm -f plugins/gone; `+emptyResult) // after it was found
	n.selectNetworks("green")
	n.api.networks["tenant/green"] = `{"type": "gone"}`
	err := n.addFails(n.request(n.conf(`{"type": "master"}`)), CodeDelegate, "network green", "gone")
	expectEqual(t, "details", err.Details, "")
	n.expectCalls()
	n.expectNothingLeft()
}

func TestAdd_ReportsTheFirstFailure(t *testing.T) {
	n := newTestNode(t)
	n.plugin.ParallelPlugins = []string{"first", "second"}
	// second fails once first has failed, whichever is started before the other. The roll-back of
	// both fails too.
	n.script("first", `[ -e first.pid ] || { echo $$ >first.tmp; mv first.tmp first.pid; }
		[ $CNI_COMMAND = ADD ] && echo '{"msg": "the cause"}'; exit 1`)
	n.script("second", `
		if [ $CNI_COMMAND = ADD ]; then
			while [ ! -e first.pid ]; do sleep 0.01; done
			while [ -e /proc/$(cat first.pid) ]; do sleep 0.01; done
		fi
		echo '{"msg": "what followed"}'; exit 1`)
	n.recorder("master")
	n.selectNetworks("green", "blue")
	n.api.networks["tenant/green"] = `{"type": "second"}`
	n.api.networks["tenant/blue"] = `{"type": "first"}`
	err := n.addFails(n.request(n.conf(`{"type": "master"}`)), CodeDelegate, "network blue", "plugin first: the cause")
	if strings.Contains(err.Msg, "what followed") {
		t.Errorf("the message has what followed: %s", err.Msg)
	}
}

func TestAdd_PassesOnThatADelegateWantsAnotherTry(t *testing.T) {
	n := newTestNode(t)
	n.script("busy", `[ $CNI_COMMAND = DEL ] && exit 0; echo '{"code": 11, "msg": "later"}'; exit 1`)
	n.addFails(n.request(n.conf(`{"type": "busy"}`)), types.ErrTryAgainLater, "later")
	n.expectNothingLeft()
}

func TestAdd_Canceled(t *testing.T) {
	t.Run("while a delegate runs", func(t *testing.T) {
		n := newTestNode(t)
		n.script("slow", `[ $CNI_COMMAND = DEL ] && exit 0; : >running; exec sleep 1000`)
		n.selectNetworks("green")
		n.api.networks["tenant/green"] = `{"type": "slow"}`
		ctx, cancel := context.WithCancelCause(context.Background())
		go func() {
			awaitFile(t, n.path("running"))
			cancel(errors.New("the runtime hung up"))
		}()
		_, err := n.plugin.Add(ctx, n.request(n.conf(n.ptpConf(1))))
		expectError(t, err, CodeDelegate, "network green", "the plugin was ended: the runtime hung up")
		n.expectNothingLeft()
	})
	t.Run("before the first delegate runs", func(t *testing.T) {
		n := newTestNode(t)
		n.recorder("master")
		ctx, cancel := context.WithCancel(context.Background())
		n.plugin.API = func() (API, error) { cancel(); return n.api, nil }
		_, err := n.plugin.Add(ctx, n.request(n.conf(`{"type": "master"}`)))
		expectError(t, err, types.ErrTryAgainLater, "network default", "not started")
		n.expectCalls()
		n.expectNothingLeft()
	})
}

// awaitFile waits until the file exists, or the test ends.
func awaitFile(t *testing.T, path string) {
	for ; t.Context().Err() == nil; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
	}
}

// The CNI library panics when it converts such a result, and cannot read it again for the DEL.
func TestAdd_RollsBackAnInvalidResult(t *testing.T) {
	for name, result := range map[string]string{
		"null as an interface": `{"cniVersion":"0.4.0","interfaces":[null]}`,
		"an empty address":     `{"cniVersion":"1.0.0","ips":[{}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			n := newTestNode(t)
			n.script("invalid", `echo $CNI_COMMAND >>calls; echo '`+result+`'`)
			n.selectNetworks("green")
			n.api.networks["tenant/green"] = `{"type": "invalid"}`
			n.addFails(n.request(n.conf(n.ptpConf(1))), CodeDelegate,
				"network green", "plugin invalid: read its result")
			n.expectCalls("ADD", "DEL")
			n.expectNothingLeft()
		})
	}
}

func TestAdd_ResultThatTheRuntimesVersionCannotExpress(t *testing.T) {
	n := newTestNode(t)
	n.recorder("master") // its result has no address, without which there is no result of 0.2.0
	conf := n.conf(withKey(`{"type": "master"}`, `"cniVersion": "1.0.0"`))
	conf.CNIVersion = "0.2.0"
	n.addFails(n.request(conf), types.ErrIncompatibleCNIVersion, "network default", "convert the result")
	n.expectCalls("ADD eth0", "DEL eth0")
	n.expectNothingLeft()
}

func TestAdd_LedgerCannotBeWritten(t *testing.T) {
	t.Run("a plan that is not on the disk is not carried out", func(t *testing.T) {
		n := newTestNode(t)
		n.recorder("master")
		n.store.fail("WritePlanned")
		n.addFails(n.request(n.conf(`{"type": "master"}`)), types.ErrIOFailure, errDisk.Error())
		n.expectCalls()
		n.expectNothingLeft()
	})
	t.Run("attachments whose results are not on the disk are rolled back", func(t *testing.T) {
		n := newTestNode(t)
		n.selectNetworks("green")
		n.api.networks["tenant/green"] = n.bridgeConf(2)
		n.store.fail("MarkAttached")
		n.addFails(n.request(n.conf(n.ptpConf(1))), types.ErrIOFailure, errDisk.Error())
		n.expectNothingLeft()
	})
}
