package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

func TestBench_MeasuresEverySubject(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a control plane")
	}
	dir := t.TempDir()
	bench, figures := filepath.Join(dir, "bench"), filepath.Join(dir, "figures.json")
	second := filepath.Join(dir, "kactus")
	output(t, "go", "build", "-o", bench, ".")
	output(t, "../../build.sh", "-o", second)
	table := output(t, bench, "--quick", "--json", figures, "--kactus", second,
		"--peer", "second="+second+",testdata/netconf.json", "--hook", "second=testdata/hook.sh",
		"--peer", "third="+second+",testdata/netconf.json")
	data, err := os.ReadFile(figures)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{nameAlone, nameKactus, "second", "third"} {
		for _, op := range []operation{add, del, hotAdd, hotDel} {
			w := r.find(subject, op, 1)
			if w == nil || w.Wall == nil || w.CPU == nil || w.CPU.Median == 0 || w.Requests == nil || w.Fsyncs == nil ||
				(w.PeakKiB == nil) != (subject == nameAlone) {
				t.Errorf("%s of one network by %s: %+v; want all figures", op, subject, w)
			}
		}
		if s := r.storm(subject); s == nil || s.Total == nil || s.AddP99 == nil ||
			s.Failures == nil || *s.Failures != 0 {
			t.Errorf("the storm by %s: %+v; want all figures and no failure", subject, s)
		}
	}
	expectAgent(t, r.Agent)
	expectPicture(t, figures)
	for _, target := range r.Targets {
		if target.Measured == nil || target.Met == nil || !strings.Contains(table, target.What) {
			t.Errorf("the target %q: measured %v; want a figure, in the table too", target.What, target.Measured)
		}
	}
	if w := r.find(nameKactus, add, 10); w.Fsyncs.FilesBefore == 0 || w.Fsyncs.DirsBefore == 0 || *w.Requests != 11 {
		t.Errorf("ADD of 10 networks: %+v, %d requests; want fsyncs before the first delegate, and 11 requests",
			w.Fsyncs, *w.Requests)
	}
}

func expectPicture(t *testing.T, figures string) {
	t.Helper()
	picture := filepath.Join(t.TempDir(), "picture.svg")
	output(t, "go", "run", "./sidebyside", picture, figures)
	svg, err := os.ReadFile(picture)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{nameAlone, nameKactus, "second", "third", "ADD, 10 networks", "hot DEL"} {
		if !strings.Contains(string(svg), want) {
			t.Errorf("no %q in the picture of the figures", want)
		}
	}
}

func TestVersionOf(t *testing.T) {
	if got := versionOf("/proc/self/exe"); strings.Contains(got, "devel") {
		t.Errorf("the version of this test: %q; want one that says something, or none", got)
	}
	if got := versionOf(os.DevNull); got != "" {
		t.Errorf("the version of no program: %q; want none", got)
	}
}

func expectAgent(t *testing.T, a *agentFigures) {
	t.Helper()
	if len(a.Edits) != 4 || len(a.Burst) != 2 || len(a.Simulation) < 3 {
		t.Fatalf("the agent: %+v; want all rows", a)
	}
	for _, e := range a.Edits {
		if e.Wall.Samples != 2 || e.Wall.Min <= 0 {
			t.Errorf("%s by %s: %+v; want two edits that took a while", e.Operation, e.By, e.Wall)
		}
	}
	if a.Simulation[0].Agents != 0 || a.Simulation[0].Events != nil {
		t.Errorf("the simulation begins with %+v; want no agents", a.Simulation[0])
	}
	for _, s := range a.Simulation[1:] {
		if *s.Networks != 1 || *s.Events != 1 || *s.Statuses != 1 || *s.Others != 0 {
			t.Errorf("%d agents: %v GETs, %v events, %v PATCHes, %d others; want one of each but the others",
				s.Agents, *s.Networks, *s.Events, *s.Statuses, *s.Others)
		}
	}
}

func TestCountEdits(t *testing.T) {
	var requests []cluster.Request
	for _, r := range [][2]string{
		{"get", "/apis/kaloom.com/v1/namespaces/bench/networks/net-00"},
		{"create", "/apis/events.k8s.io/v1/namespaces/bench/events"},
		{"create", "/apis/events.k8s.io/v1/namespaces/bench/events"},
		{"patch", "/api/v1/namespaces/bench/pods/a/status"},
		{"watch", "/api/v1/pods?watch=true"},
		{"list", "/api/v1/pods?fieldSelector=spec.nodeName%3Da"},
		{"patch", "/api/v1/namespaces/bench/pods/a"},
	} {
		requests = append(requests, cluster.Request{Method: r[0], URI: r[1]})
	}
	got := countEdits(requests, 2)
	if *got.Networks != 1 || *got.Events != 1 || *got.Statuses != 0.5 || *got.Others != 2 {
		t.Errorf("got %v GETs for an ADD, %v events, %v PATCHes, %d others; want 1, 1, 0.5 and 2",
			*got.Networks, *got.Events, *got.Statuses, *got.Others)
	}
}

func TestResourcesOf(t *testing.T) {
	got, err := resourcesOf(os.Getpid())
	if err != nil || got.rssKiB <= 0 || got.peakKiB < got.rssKiB || got.cpu < 0 {
		t.Errorf("resourcesOf(this process) = %+v, %v", got, err)
	}
	if _, err := resourcesOf(0); err == nil {
		t.Error("resourcesOf(0): no error")
	}
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, stderr.String())
	}
	return string(out)
}

func TestReport_WithoutMeasurements(t *testing.T) {
	r := report{
		Operations: []row{{Subject: nameKactus, Operation: add, Networks: 10}},
		Storm:      []stormRow{{Subject: nameKactus}},
		Floor:      &floorSummary{},
	}
	r.Targets = r.evaluate()
	for _, target := range r.Targets {
		if target.What != "size of the binary" && (target.Measured != nil || target.Met != nil) {
			t.Errorf("the target %q has a figure", target.What)
		}
	}
	var table strings.Builder
	r.print(&table)
	for line := range strings.Lines(table.String()) {
		if strings.HasPrefix(line, "ADD  ") && !strings.Contains(line, unmeasured) ||
			strings.HasPrefix(line, "storm, ") && !strings.Contains(line, "not measured") {
			t.Errorf("the line %q has a figure", line)
		}
	}
	if summarize(nil) != nil {
		t.Error("summarize(nil) is not nil")
	}
}

func TestSummarize(t *testing.T) {
	var all []time.Duration
	for i := range 10 {
		all = append(all, time.Duration(10-i)*time.Millisecond)
	}
	if got, want := *summarize(all), (summary{Median: 5.5, Min: 1, P90: 9, Samples: 10}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := quantile(all[:3], 0.5); got != 9 {
		t.Errorf("the median of 10, 9 and 8: %v; want 9", got)
	}
	if got := slope([]float64{0, 1, 2}, []float64{1, 3, 5}); got != 2 {
		t.Errorf("the slope: %v; want 2", got)
	}
}

func TestFsyncCounter_Count(t *testing.T) {
	dir := t.TempDir()
	log := strings.Join([]string{
		`10 execve("/kactus", ["kactus"], 0x1 /* 3 vars */) = 0`,
		`11 fsync(7<` + dir + `/c.tmp> <unfinished ...>`,
		`11 <... fsync resumed>) = 0`,
		`10 fsync(6<` + dir + `>) = 0`,
		`12 execve("/ptp", ["ptp"], 0x1 /* 3 vars */) = 0`,
		`12 fdatasync(3</leases/last>) = 0`,
		``,
	}, "\n")
	var got fsyncCounter
	if err := got.count([]byte(log)); err != nil {
		t.Fatal(err)
	}
	if want := (fsyncs{Total: 3, FilesBefore: 1, DirsBefore: 1}); got.fsyncs != want {
		t.Errorf("got %+v, want %+v", got.fsyncs, want)
	}
	if err := new(fsyncCounter).count(nil); err == nil {
		t.Error("an empty log: no error")
	}
}

func TestParseOptions_Errors(t *testing.T) {
	for _, args := range [][]string{
		{"--rounds", "0"}, {"--only", "all"}, {"--sweep-parallel", "0"},
		{"--peer", "multus"}, {"--peer", "kactus=a,b"}, {"--hook", "x=y"}, {"extra"},
	} {
		if _, err := parseOptions(args); err == nil {
			t.Errorf("parseOptions(%q): no error", args)
		}
	}
}

func TestParseOptions_FormerPartName(t *testing.T) {
	opts, err := parseOptions([]string{"--only", "storm," + formerPartOperations})
	if want := []string{partStorm, partOperations}; err != nil || !slices.Equal(opts.parts, want) {
		t.Errorf("parts: %q, %v; want %q", opts.parts, err, want)
	}
}
