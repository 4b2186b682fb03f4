package inventory

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
)

// expectProblems checks that Compare finds those problems, one for each attachment, and that none
// of them is busy.
func (l testLedger) expectProblems(want ...string) {
	l.Helper()
	found := l.compare()
	if len(found) != len(want) {
		l.Fatalf("got %d findings, want %d: %+v", len(found), len(want), found)
	}
	for i, f := range found {
		if (want[i] == "") != (f.Problem == "") || !strings.Contains(f.Problem, want[i]) {
			l.Errorf("%s: %q, want %q", f.IfName, f.Problem, want[i])
		}
		if f.HasProblem() != (want[i] != "") || f.Busy {
			l.Errorf("%s: has a problem: %v, busy: %v", f.IfName, f.HasProblem(), f.Busy)
		}
	}
}

// compare compares what a reader of the ledger sees, who has not opened it.
func (l testLedger) compare() []Finding {
	l.Helper()
	return collect(l, Compare(l.Ledger))
}

// rebooted is a network namespace of a node that was rebooted since.
var rebooted = netns.ID{Path: "/run/netns/a", Inode: 1, BootID: "e0f6a1d2-0000-0000-0000-000000000000"}

func TestCompare_Netns(t *testing.T) {
	t.Run("gone", func(t *testing.T) {
		const want = "the network namespace is gone"
		newTestLedger(t, rebooted, "", "").expectProblems(want, want)
	})
	t.Run("recorded in another mount namespace", func(t *testing.T) {
		own, err := netns.Own()
		must(t, err)
		own.Mounts++
		const want = "the network namespace is not visible from here"
		newTestLedger(t, own, "", "").expectProblems(want, want)
	})
	t.Run("no longer at its path", func(t *testing.T) {
		own, err := netns.Own() // processes are in this one
		must(t, err)
		own.Path = filepath.Join(t.TempDir(), "netns")
		newTestLedger(t, own, "", "").expectProblems(own.Path, own.Path)
	})
}

func TestCompare_State(t *testing.T) {
	t.Run("a DEL failed", func(t *testing.T) {
		l := newTestLedger(t, rebooted, "", "")
		l.change(func(r *ledger.LockedRecord) error {
			return r.MarkFailed("net1", testCreated, errors.New("the daemon is down"), nil)
		})
		l.expectProblems("namespace is gone", "a DEL failed (1 times): the daemon is down")
	})
	t.Run("an orphan", func(t *testing.T) {
		l := newTestLedger(t, rebooted, "", "")
		l.change(func(r *ledger.LockedRecord) error {
			return r.Orphan("net1", testCreated, errors.New("the daemon is down"), nil)
		})
		l.expectProblems("namespace is gone", "given up by a DEL: the daemon is down")
	})
	t.Run("planned", func(t *testing.T) {
		l := newTestLedger(t, rebooted, "", "")
		l.change(l.addPlanned)
		l.expectProblems("namespace is gone", "namespace is gone", "half made")
	})
}

func TestCompare_Busy(t *testing.T) {
	l := newTestLedger(t, rebooted, "", "")
	r := l.lock()
	must(t, l.addPlanned(r))
	found := l.compare()
	if len(found) != 3 {
		t.Fatalf("got %+v", found)
	}
	for _, f := range found {
		if f.HasProblem() || !f.Busy {
			t.Errorf("while an operation runs: %+v", f)
		}
	}
	r.Close()
	l.expectProblems("namespace is gone", "namespace is gone", "half made")
}

func TestCompare_CorruptRecord(t *testing.T) {
	l := newTestLedger(t, rebooted, "", "")
	must(t, os.WriteFile(filepath.Join(l.dir, "c0.json"), []byte("{"), 0o600))
	found := l.compare()
	if len(found) != 3 {
		t.Fatalf("got %+v", found)
	}
	if f := found[2]; f.ContainerID != "c0" || !strings.Contains(f.Problem, "c0.json") || !f.HasProblem() {
		t.Errorf("got %+v", f)
	}
}

func TestCompare_NoLedger(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	if found := collect(t, Compare(ledger.At(dir, dir))); len(found) != 0 {
		t.Errorf("got %#v", found)
	}
}

// What an operation changed after the snapshot was read is not a problem.
func TestCompareAgain(t *testing.T) {
	l := newTestLedger(t, rebooted, "", "")
	index, err := netns.Scan()
	must(t, err)
	before := []Finding{{Problem: "before"}}
	t.Run("the record as it is now", func(t *testing.T) {
		if got := compareAgain(l.Ledger, index, "c1", before); len(got) != 2 || got[0].IfName != "eth0" {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("a record that is gone", func(t *testing.T) {
		if got := compareAgain(l.Ledger, index, "c2", before); len(got) != 0 {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("a record that is corrupt", func(t *testing.T) {
		must(t, os.WriteFile(filepath.Join(l.dir, "c3.json"), []byte("{"), 0o600))
		if got := compareAgain(l.Ledger, index, "c3", before); len(got) != 1 || got[0].Problem != "before" {
			t.Errorf("got %+v", got)
		}
	})
}
