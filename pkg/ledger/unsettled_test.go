package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
)

func expectUnsettled(t *testing.T, l Ledger, want ...string) {
	t.Helper()
	got, err := l.Unsettled()
	must(t, err)
	if !slices.Equal(got, want) {
		t.Errorf("unsettled: %q, want %q", got, want)
	}
}

// settle records a result for each attachment of the container.
func settle(t *testing.T, r *LockedRecord) {
	t.Helper()
	results := map[string]json.RawMessage{}
	for _, a := range r.Record().Attachments {
		results[a.IfName] = json.RawMessage(`{}`)
	}
	must(t, r.MarkAttached(results))
}

func TestUnsettled(t *testing.T) {
	tests := []struct {
		name string
		do   func(t *testing.T, r *LockedRecord)
		want bool
	}{
		{"nothing", func(*testing.T, *LockedRecord) {}, false},
		{"an ADD that succeeded", func(t *testing.T, r *LockedRecord) {
			writePlanned(t, r, "eth0")
			settle(t, r)
		}, false},
		{"an ADD that left something", func(t *testing.T, r *LockedRecord) { writePlanned(t, r, "eth0") }, true},
		{"a DEL that succeeded", func(t *testing.T, r *LockedRecord) {
			writePlanned(t, r, "eth0")
			must(t, r.Remove("eth0"))
		}, false},
		{"a DEL that failed", func(t *testing.T, r *LockedRecord) {
			writePlanned(t, r, "eth0")
			settle(t, r)
			must(t, r.MarkFailed("eth0", testTime, errors.New("no"), nil))
		}, true},
		{"an orphan", func(t *testing.T, r *LockedRecord) {
			writePlanned(t, r, "eth0")
			must(t, r.Orphan("eth0", testTime, errors.New("no"), nil))
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := openLedger(t)
			expectUnsettled(t, l)
			r := lock(t, l, "c1")
			tt.do(t, r)
			expectUnsettled(t, l) // another operation is running
			r.Close()
			if tt.want {
				expectUnsettled(t, l, "c1")
			} else {
				expectUnsettled(t, l)
			}
		})
	}
	t.Run("an operation that was killed", func(t *testing.T) {
		l := openLedger(t)
		other := startOther(t, "plan", l, "c1")
		other.kill()
		expectUnsettled(t, l, "c1")
	})
}

// A boot clears the directory of the locks, and ends every network namespace.
func TestUnsettled_AfterABoot(t *testing.T) {
	l := openLedger(t)
	for _, id := range []string{"c1", "c2"} {
		r := lock(t, l, id)
		writePlanned(t, r, "eth0")
		settle(t, r)
		r.Close()
	}
	expectUnsettled(t, l)
	must(t, os.RemoveAll(l.lockDir))
	must(t, os.Mkdir(l.lockDir, 0o700))
	must(t, tryLock(l, "c3"))
	expectUnsettled(t, l, "c1", "c2")
	must(t, tryLock(l, "c1"))
	expectUnsettled(t, l, "c2")
}

// A DEL lists the unsettled containers, of which there are mostly none, among those of a whole
// node.
func BenchmarkUnsettled_None(b *testing.B) {
	l := openLedger(b)
	for i := range 250 {
		r := lock(b, l, fmt.Sprintf("container-%d", i))
		writePlanned(b, r, "eth0")
		if err := r.MarkAttached(map[string]json.RawMessage{"eth0": json.RawMessage(`{}`)}); err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
	for b.Loop() {
		if ids, err := l.Unsettled(); err != nil || len(ids) != 0 {
			b.Fatal(ids, err)
		}
	}
}
