package cluster

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestBuild_UnknownPart(t *testing.T) {
	_, err := Builder{Cache: t.TempDir()}.Build(t.Context(), "kube-sink")
	if err == nil || !strings.Contains(err.Error(), "kube-sink") {
		t.Errorf("error: %v; want the part's name", err)
	}
	if _, statErr := os.Stat("kube-sink"); statErr == nil {
		t.Error("something was built")
	}
}

func TestRequiredVersion(t *testing.T) {
	const goMod = `module m

require a.b/c v1.2.3

require (
	d.e/f v4.5.6 // indirect
)

replace (
	g.h/i => g.h/i v7.8.9
)
`
	for module, want := range map[string]string{"a.b/c": "v1.2.3", "d.e/f": "v4.5.6", "g.h/i": "", "a.b": ""} {
		got, err := requiredVersion([]byte(goMod), module)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v; want %q", module, got, err, want)
		}
	}
}

func TestFindRoot_SkipsNestedModules(t *testing.T) {
	want, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	got, err := FindRoot("kubernetes")
	if err != nil || got != want {
		t.Errorf("root: %q, %v; want %q", got, err, want)
	}
	if got, err := FindRoot(t.TempDir()); err == nil {
		t.Errorf("root outside the source tree: %q", got)
	}
}

func TestMeter_CountsPackagesAndKeepsErrors(t *testing.T) {
	var out strings.Builder
	m := startMeter(&out, "etcd 1.0.0", 12)
	for _, text := range []string{"go: downloading a.b/c v1.0.0\nun", "icode\na.b/c\n", "# a.b/c\nc.go:1: bad",
		" luck\n"} {
		if _, err := m.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	m.stop()
	if got, want := m.line(), "2 of at most 12 packages compiled"; !strings.Contains(got, want) {
		t.Errorf("line: %q; want %q in it", got, want)
	}
	if got, want := strings.TrimSpace(m.tail()), "# a.b/c\nc.go:1: bad luck"; got != want {
		t.Errorf("tail: %q; want %q", got, want)
	}
}

func TestClusterParts_ByRuntime(t *testing.T) {
	for _, tt := range []struct {
		runtimes   []Part
		containerd bool
		crio       bool
	}{
		{nil, true, false},
		{[]Part{Containerd, Containerd}, true, false},
		{[]Part{CRIO}, false, true},
		{Runtimes(), true, true},
	} {
		parts := ClusterParts(tt.runtimes...)
		if slices.Contains(parts, Ctr) != tt.containerd || slices.Contains(parts, Pinns) != tt.crio {
			t.Errorf("%q: %q", tt.runtimes, parts)
		}
		sorted := slices.Sorted(slices.Values(parts))
		if len(slices.Compact(sorted)) != len(parts) {
			t.Errorf("%q: a part twice: %q", tt.runtimes, parts)
		}
	}
}

func TestNodesOptions_Runtimes(t *testing.T) {
	options := NodesOptions{Nodes: 3, Runtimes: []Part{CRIO, Containerd}}
	if err := options.checkRuntimes(); err != nil {
		t.Error(err)
	}
	for number, want := range []Part{CRIO, Containerd, Containerd} {
		if got := options.runtimeOf(number + 1); got != want {
			t.Errorf("node %d has %s; want %s", number+1, got, want)
		}
	}
	for _, wrong := range [][]Part{{Kubelet}, {CRIO, CRIO, CRIO, CRIO}} {
		options.Runtimes = wrong
		if err := options.checkRuntimes(); err == nil || !strings.Contains(err.Error(), "Options.Runtimes") {
			t.Errorf("%q: %v; want an error that names the option", wrong, err)
		}
	}
}
