package ledger

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

func TestNothingIsPlannedInAFrozenLedger(t *testing.T) {
	l, _ := open(t)
	b := lock(t, l, "c1")
	defer b.Close()
	frozen, err := l.Freeze(t.Context())
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	err = b.Plan(ctx, Netns{}, podargs.Pod{}, "eth0", []Entry{entry(t, "eth0")})
	if !errors.Is(err, ErrBusy) || len(b.Record().Attachments) != 0 {
		t.Errorf("got %v, and the record %+v", err, b.Record())
	}
	if err := b.Undone("eth0"); err != nil { // a DEL does not wait
		t.Error(err)
	}
	frozen.Close()
	planned(t, b, "eth0")
}

func TestALedgerThatThawsLetsTheWaitingPlanThrough(t *testing.T) {
	l, dir := open(t)
	b := lock(t, l, "c1")
	defer b.Close()
	frozen, err := l.Freeze(t.Context())
	must(t, err)
	done := make(chan error)
	go func() {
		done <- b.Plan(context.Background(), Netns{}, podargs.Pod{}, "eth0", []Entry{entry(t, "eth0")})
	}()
	if s, err := Read(dir); err != nil || len(s.Records) != 0 {
		t.Errorf("while it is frozen: %+v, %v", s, err)
	}
	frozen.Close()
	must(t, <-done)
}

func TestPlansDoNotWaitForEachOther(t *testing.T) {
	l, dir := open(t)
	other, err := lockDir(t.Context(), dir, unix.LOCK_SH)
	must(t, err)
	defer other.Close()
	b := lock(t, l, "c1")
	defer b.Close()
	planned(t, b, "eth0")
}

func TestProbeSaysWhetherTheDiskTakesARecord(t *testing.T) {
	l, dir, fill := openSmall(t)
	must(t, l.Probe())
	fill()
	if err := l.Probe(); err == nil {
		t.Error("the disk is full, and the probe is fine")
	}
	if got := names(t, dir); got != "[- filler]" {
		t.Errorf("left: %s", got)
	}
}
