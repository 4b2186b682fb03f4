package cluster

import (
	"os"
	"path/filepath"
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
