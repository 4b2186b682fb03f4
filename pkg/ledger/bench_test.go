package ledger

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
)

// BenchmarkPod does what the ledger does from the ADD to the DEL of a Pod: lock, write the plan and
// the results, and remove one attachment after the other.
func BenchmarkPod(b *testing.B) {
	for _, networks := range []int{0, 10} {
		b.Run(fmt.Sprintf("networks=%d", networks), func(b *testing.B) { benchmarkPod(b, networks) })
	}
}

func benchmarkPod(b *testing.B, networks int) {
	l := openLedger(b)
	names := []string{"eth0"}
	for i := range networks {
		names = append(names, fmt.Sprintf("net%d", i))
	}
	planned := attachments(b, names...)
	results := map[string]json.RawMessage{}
	for _, name := range names {
		results[name] = json.RawMessage(`{"cniVersion": "1.0.0", "ips": [{"address": "10.1.0.2/16"}]}`)
	}
	b.ReportAllocs()
	for b.Loop() {
		r, err := l.Lock(b.Context(), "container")
		must(b, err)
		must(b, r.WritePlanned(b.Context(), testNetns, testPod, "eth0", planned))
		must(b, r.MarkAttached(results))
		for _, name := range slices.Backward(names) {
			must(b, r.Remove(name))
		}
		r.Close()
	}
}

func BenchmarkLock(b *testing.B) {
	l := openLedger(b)
	b.ReportAllocs()
	for b.Loop() {
		r, err := l.Lock(b.Context(), "container")
		must(b, err)
		r.Close()
	}
}
