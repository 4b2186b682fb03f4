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

func TestOnlyADelTouchesAContainerWhoseRecordDoesNotRead(t *testing.T) {
	n, req := checked(t)
	mac, leases := n.netns.MAC(t, "eth0"), n.leases()
	n.unreadable()
	n.addFails(req, types.ErrIOFailure, "does not read")
	n.addFails(n.green(req.Conf), types.ErrIOFailure, "does not read")
	n.checkFails(req, types.ErrIOFailure, "does not read")
	same(t, "MAC of eth0", n.netns.MAC(t, "eth0"), mac)
	same(t, "leases", n.leases(), leases)
	same(t, "ledger", n.ledgerFiles(), []string{"c1.json"})

	n.del(req)
	same(t, "devices", n.netns.Devices(t), []string{greenDevice}) // the runtime takes it away with the namespace
	if aside := n.ledgerFiles(); len(aside) != 1 || filepath.Ext(aside[0]) != ".corrupt" {
		t.Errorf("in the ledger: %v", aside)
	}
	req.Conf.PrevResult = nil
	n.api.annotation = ""
	n.add(req)
	n.del(req)
}

func TestAHotDelSaysOnceThatTheRecordDoesNotRead(t *testing.T) {
	n, req := runningPod(t)
	green := n.green(req.Conf)
	n.add(green)
	n.unreadable()
	n.delFails(green, types.ErrIOFailure, "network green", greenDevice, "does not read")
	n.del(green)
	same(t, "devices", n.netns.Devices(t), []string{"eth0", greenDevice})
	n.del(req)
	same(t, "devices", n.netns.Devices(t), []string{greenDevice})
}

func TestARecordThatCannotBeSetAsideDoesNotStopADel(t *testing.T) {
	n, req := runningPod(t)
	n.unreadable()
	n.spoil = breaking("SetAside")
	n.delFails(req, types.ErrIOFailure, errLedger.Error()) // so that the runtime comes again
	if left := n.netns.Devices(t); len(left) != 0 || len(n.leases()) != 0 {
		t.Errorf("left: %v, %v", left, n.leases())
	}
	n.spoil = nil
	n.del(req)
}

// unreadable cuts the container's record short.
func (n *node) unreadable() {
	n.T.Helper()
	must(n.T, os.WriteFile(n.path("ledger/c1.json"), []byte(`{"format":`), 0o600))
}

func (n *node) ledgerFiles() []string {
	n.T.Helper()
	var names []string
	files, err := os.ReadDir(n.path("ledger"))
	must(n.T, err)
	for _, file := range files {
		names = append(names, file.Name())
	}
	return names
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
