package cluster

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
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
	m := feed(t, 12, "go: downloading a.b/c v1.0.0\nun", "icode\na.b/c\n", "# a.b/c\nc.go:1: bad", " luck\n")
	if got, want := m.line(), "2 of 12 packages compiled"; !strings.Contains(got, want) {
		t.Errorf("line: %q; want %q in it", got, want)
	}
	if got, want := strings.TrimSpace(m.tail()), "# a.b/c\nc.go:1: bad luck"; got != want {
		t.Errorf("tail: %q; want %q", got, want)
	}
}

func TestMeter_CountsWhatThereIsToDo(t *testing.T) {
	m := feed(t, 0, "go: downloading a.b/c v1.0.0\n",
		"mkdir -p $WORK/b001/\n/go/pkg/tool/compile -o $WORK/b002/_pkg_.a\n",
		"/go/pkg/tool/compile -o $WORK/b001/_pkg_.a\n/go/pkg/tool/link -o $WORK/b001/exe/a.out\n")
	if m.compiles != 2 || m.links != 1 {
		t.Errorf("%d packages, %d programs; want 2, 1", m.compiles, m.links)
	}
	if got, want := m.line(), "1 modules downloaded"; !strings.Contains(got, want) {
		t.Errorf("line: %q; want %q in it", got, want)
	}
}

// feed returns a meter that has read output of the go command.
func feed(t *testing.T, total int, output ...string) *meter {
	t.Helper()
	m := newMeter(io.Discard, total)
	m.start()
	for _, text := range output {
		if _, err := m.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	m.stop()
	return m
}

func TestInWords(t *testing.T) {
	for duration, want := range map[time.Duration]string{
		time.Second: "less than a minute", 50 * time.Second: "about a minute", 440 * time.Second: "about 7 minutes",
	} {
		if got := inWords(duration); got != want {
			t.Errorf("%s: %q; want %q", duration, got, want)
		}
	}
}

// The parts of a module are built at once, into files that the go command names.
func TestRecipes_OutputsDiffer(t *testing.T) {
	seen := map[string]Part{}
	for _, part := range allParts() {
		recipe, err := recipeOf(part)
		if err != nil {
			t.Fatal(err)
		}
		file := recipe.module + "/" + recipe.output(part)
		if other, found := seen[file]; found {
			t.Errorf("%s and %s are both %s", part, other, file)
		}
		seen[file] = part
	}
	if recipe, _ := recipeOf(Etcd); recipe.output(Etcd) != "server" {
		t.Errorf("etcd: %q; want the name that the go command gives it", recipe.output(Etcd))
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
