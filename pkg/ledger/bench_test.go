package ledger

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

// BenchmarkLife is all that the ledger does from the ADD to the DEL of a Pod: lock, plan, results, and one after the other undone.
func BenchmarkLife(b *testing.B) {
	for _, networks := range []int{0, 10} {
		b.Run(fmt.Sprintf("networks=%d", networks), func(b *testing.B) { benchmarkLife(b, networks) })
	}
}

func benchmarkLife(b *testing.B, networks int) {
	l, err := Open(filepath.Join(b.TempDir(), "kactus"))
	if err != nil {
		b.Fatal(err)
	}
	var entries []Entry
	results := map[string]json.RawMessage{}
	for i := range 1 + networks {
		e, err := newEntry(fmt.Sprintf("net%d", i))
		if err != nil {
			b.Fatal(err)
		}
		entries, results[e.Device] = append(entries, e), json.RawMessage(`{"cniVersion": "1.0.0", "ips": [{"address": "10.1.0.2/16"}]}`)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := live(b, l, entries, results); err != nil {
			b.Fatal(err)
		}
	}
}

func live(b *testing.B, l Ledger, entries []Entry, results map[string]json.RawMessage) error {
	book, err := l.Lock(b.Context(), "container")
	if err != nil {
		return err
	}
	defer book.Close()
	if err := book.Plan(b.Context(), Netns{}, podargs.Pod{Namespace: "tenant", Name: "app"}, entries[0].Device, entries); err != nil {
		return err
	}
	if err := book.Attached(results); err != nil {
		return err
	}
	for i := range entries {
		if err := book.Undone(entries[len(entries)-1-i].Device); err != nil {
			return err
		}
	}
	return nil
}
