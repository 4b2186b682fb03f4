package install

import (
	"runtime"
	"strings"
	"testing"
)

// The container has 64 MiB, in which "kactus install -dry-run" may run beside the installer: the
// binary must not be in the memory of either.
func TestInstall_BinaryIsNotReadIntoMemory(t *testing.T) {
	n := newTestNode(t)
	const size = 16 << 20
	large := strings.Repeat("kactus", size/6)
	n.write("kactus", large, 0o755)
	for _, name := range []string{"the first time", "when the binary is the same", "when another is there"} {
		n.verified = verifiedBinary{}
		if name == "when another is there" {
			n.write("bin/kactus", large[1:]+"x", 0o755)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		change, err := n.binary()
		n.must(err)
		if change != nil {
			n.must(change.do())
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
			t.Errorf("%s: %d bytes of memory, for a binary of %d", name, used, size)
		}
		if (change == nil) != (name == "when the binary is the same") || n.read("bin/kactus") != large {
			t.Errorf("%s: changed %v, or the node's binary is another one", name, change != nil)
		}
	}
}

func TestSameContent(t *testing.T) {
	n := newTestNode(t)
	block := strings.Repeat("0123456789abcdef", 4<<10) // what is compared at once
	tests := []struct {
		name, one, other string
		want             bool
	}{
		{"both empty", "", "", true},
		{"the same", "a", "a", true},
		{"one block", block, block, true},
		{"more than a block", block + "a", block + "a", true},
		{"different at the end", block + "a", block + "b", false},
		{"one is longer, by a byte", block, block + "a", false},
		{"the other is longer, by a block", block + block, block, false},
		{"one is empty", "", "a", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n.write("one", tt.one, 0o644)
			n.write("other", tt.other, 0o644)
			got, err := sameContent(n.dir+"/one", n.dir+"/other")
			if err != nil || got != tt.want {
				t.Errorf("%v, %v, want %v", got, err, tt.want)
			}
		})
	}
}
