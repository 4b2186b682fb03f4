package faults

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// TestFault_Fuzz runs each fuzz target of the tree: in the full campaign for ten minutes of
// processor time, guided by coverage; else for a moment and unguided, because compiling with
// coverage takes minutes. An input that crashes a target is left in the target's testdata.
func TestFault_Fuzz(t *testing.T) {
	t.Parallel()
	targets := fuzzTargets(t)
	for _, dir := range slices.Sorted(maps.Keys(targets)) {
		binary := filepath.Join(t.TempDir(), "fuzz.test")
		args := []string{"test", "-c", "-o", binary}
		if *fullCampaign {
			args = append(args, "-fuzz=.")
		}
		cmd := exec.CommandContext(t.Context(), "go", append(args, ".")...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build the tests of %s: %v\n%s", dir, err, out)
		}
		for _, name := range targets[dir] {
			where, err := filepath.Rel(kactustest.Root(), dir)
			kactustest.Must(t, err)
			t.Run(where+" "+name, func(t *testing.T) {
				f := fuzzRun{binary: binary, dir: dir, target: name, cache: fuzzCache(t, where), tmp: t.TempDir()}
				budget := time.Duration(0) // one round
				if *fullCampaign {
					budget = 10 * time.Minute
				}
				f.run(t, budget).report(t)
			})
		}
	}
}

var fuzzTarget = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(f \*testing\.F\)`)

// fuzzTargets returns the fuzz targets by directory.
func fuzzTargets(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(kactustest.Root(), "pkg", "*", "*_test.go"))
	kactustest.Must(t, err)
	targets := map[string][]string{}
	for _, file := range files {
		source, err := os.ReadFile(file)
		kactustest.Must(t, err)
		for _, match := range fuzzTarget.FindAllStringSubmatch(string(source), -1) {
			targets[filepath.Dir(file)] = append(targets[filepath.Dir(file)], match[1])
		}
	}
	return targets
}

// fuzzCache returns the directory in which inputs that reach new code are kept, also for the next
// full campaign.
func fuzzCache(t *testing.T, where string) string {
	t.Helper()
	if !*fullCampaign {
		return t.TempDir()
	}
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOCACHE").Output()
	kactustest.Must(t, err)
	return filepath.Join(strings.TrimSpace(string(out)), "fuzz", "kactus", where)
}

// A fuzzRun fuzzes one target with the test binary of its package.
type fuzzRun struct {
	binary, dir, target, cache string
	// tmp is for temporary files, which the workers leave when they are killed.
	tmp string
}

// run tries inputs in rounds until the budget of processor time is spent or one crashes the target.
func (f fuzzRun) run(t *testing.T, budget time.Duration) fault {
	t.Helper()
	row := fault{name: fmt.Sprintf("random inputs to %s of %s", f.target, filepath.Base(f.dir))}
	inputs := 3000
	for spent := time.Duration(0); ; {
		tried, took, err := f.round(t, inputs)
		row.tried += tried
		spent += took
		if err != nil {
			t.Error(err)
			row.lost++
		}
		if err != nil || spent >= budget {
			t.Logf("%d inputs took %s of the processors' time", row.tried, spent.Round(time.Second))
			return row
		}
		// Grow slowly: the first inputs are slower or faster than most.
		inputs = max(1000, int(float64(inputs)*min(10, (budget-spent).Seconds()/took.Seconds())))
	}
}

// round runs one round and returns the number of inputs and the processor time.
func (f fuzzRun) round(t *testing.T, inputs int) (tried int, took time.Duration, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // for an input on which the target hangs
	defer cancel()
	cmd := exec.CommandContext(ctx, f.binary, "-test.run=^$", "-test.fuzz=^"+f.target+"$",
		fmt.Sprintf("-test.fuzztime=%dx", inputs),
		"-test.fuzzcachedir="+f.cache, "-test.parallel=2")
	cmd.Dir, cmd.Env = f.dir, append(os.Environ(), "TMPDIR="+f.tmp)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("run %s: %v", f.binary, err)
	}
	if err != nil {
		err = fmt.Errorf("%s of %s: %w\n%s", f.target, f.dir, err, out)
	}
	return execs(out), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), err
}

var execsSoFar = regexp.MustCompile(`execs: (\d+)`)

// execs returns the last count of inputs in the output.
func execs(output []byte) int {
	all := execsSoFar.FindAllSubmatch(output, -1)
	if len(all) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(string(all[len(all)-1][1]))
	return n
}
