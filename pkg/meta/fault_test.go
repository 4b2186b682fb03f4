package meta

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
)

func TestAPlanThatCannotBeWrittenMakesNothing(t *testing.T) {
	n := newNode(t)
	n.diary("master")
	n.spoil = breaking("Plan")
	n.addFails(n.request(n.conf(`{"type": "master"}`)), types.ErrIOFailure, errLedger.Error())
	same(t, "diary", n.read("diary"), "")
	n.nothingLeft()
}

func TestResultsThatCannotBeWrittenAreRolledBack(t *testing.T) {
	n := newNode(t)
	n.api.annotation = `[{"name": "green"}]`
	n.api.networks["tenant/green"] = n.bridged(2)
	n.spoil = breaking("Attached")
	n.addFails(n.request(n.conf(n.ptp(1))), types.ErrIOFailure, errLedger.Error())
	n.nothingLeft()
}

func TestALedgerThatCannotBeWrittenDoesNotStopADel(t *testing.T) {
	n := newNode(t)
	n.api.annotation = `[{"name": "green"}]`
	n.api.networks["tenant/green"] = n.bridged(2)
	req := n.request(n.conf(n.ptp(1)))
	n.add(req)
	n.spoil = breaking("Undone")
	n.delFails(req, types.ErrIOFailure, errLedger.Error()) // so that the runtime comes again
	if left := n.netns.Devices(t); len(left) != 0 || len(n.leases()) != 0 {
		t.Errorf("left: %v, %v", left, n.leases())
	}
	n.spoil = nil
	n.del(req)
	n.nothingLeft()
}

func TestAFailureThatCannotBeRecordedIsStillToldAndTheRestUndone(t *testing.T) {
	n := newNode(t)
	n.plugin("stuck", `[ $CNI_COMMAND = DEL ] && exit 1; echo '{"cniVersion":"1.0.0"}'`)
	n.api.annotation = `[{"name": "green"}]`
	n.api.networks["tenant/green"] = `{"type": "stuck"}`
	req := n.request(n.conf(n.ptp(1)))
	n.add(req)
	n.spoil = breaking("Failed", "Park")
	n.delFails(req, CodeDelegate, "network green")
	if left := n.netns.Devices(t); len(left) != 0 || len(n.leases()) != 0 {
		t.Errorf("left: %v, %v", left, n.leases())
	}
}

func TestALedgerThatCannotBeOpenedIsAnError(t *testing.T) {
	n := newNode(t)
	must(t, os.WriteFile(n.path("ledger"), nil, 0o600))
	n.diary("master")
	n.addFails(n.request(n.conf(`{"type": "master"}`)), types.ErrIOFailure, n.path("ledger"))
	n.delFails(n.request(n.conf(`{"type": "master"}`)), types.ErrIOFailure, n.path("ledger"))
	same(t, "diary", n.read("diary"), "")
}

func TestAVerbOnABusyContainerIsToldToTryAgain(t *testing.T) {
	n := newNode(t)
	n.diary("master")
	book, err := n.lock(context.Background(), container)
	must(t, err)
	defer book.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // the time for waiting is over
	req := n.request(n.conf(`{"type": "master"}`))
	_, err = n.verbs.Add(ctx, req)
	n.check(err, types.ErrTryAgainLater, []string{"another verb still runs"})
	n.check(n.verbs.Del(ctx, req), types.ErrTryAgainLater, []string{"another verb still runs"})
	same(t, "diary", n.read("diary"), "")
}

func TestARecordThatDoesNotReadDoesNotHoldADel(t *testing.T) {
	n := newNode(t)
	req := n.request(n.conf(n.ptp(1)))
	n.add(req)
	must(t, os.WriteFile(n.path("ledger/c1.json"), []byte(`{"format":`), 0o600))
	n.del(req)
	if left := n.netns.Devices(t); len(left) != 0 || len(n.leases()) != 0 {
		t.Errorf("the netconf's own delegate was not asked: %v, %v", left, n.leases())
	}
	if aside, _ := filepath.Glob(n.path("ledger/*")); len(aside) != 1 || filepath.Ext(aside[0]) != ".corrupt" {
		t.Errorf("in the ledger: %v", aside)
	}
	n.add(req) // and not an ADD either
	n.del(req)
}

func TestDelegatesInheritTheLock(t *testing.T) {
	n := newNode(t)
	n.plugin("holds", `readlink /proc/$$/fd/3 >$CNI_COMMAND.fd; echo '{"cniVersion":"1.0.0"}'`)
	req := n.request(n.conf(`{"type": "holds"}`))
	n.add(req)
	n.del(req)
	same(t, "ADD's descriptor 3", n.read("ADD.fd"), n.path("ledger/c1.lock"))
	same(t, "DEL's descriptor 3", n.read("DEL.fd"), n.path("ledger/c1.lock"))
}
