package faults

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

var randomSeed = flag.Uint64("faults.seed", 0, "run only the sequence of this seed in TestFault_Random")

// TestFault_Random runs random sequences of operations on several Pods, with kills and faults, and
// compares kernel, leases and ledger with a model after each step (see podModel). Of a sequence
// that fails it prints the seed and the steps that are needed for it to fail.
func TestFault_Random(t *testing.T) {
	t.Parallel()
	if *randomSeed != 0 {
		t.Run(fmt.Sprint("seed ", *randomSeed), func(t *testing.T) {
			if _, err := play(t, randomSteps(*randomSeed)); err != nil {
				t.Error(err)
			}
		})
		return
	}
	budget := 20 * time.Second
	if *fullCampaign {
		budget = 10 * time.Minute
	}
	total := tally{}
	var mu sync.Mutex
	t.Run("sequences", func(t *testing.T) {
		for range runtime.GOMAXPROCS(0) {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				deadline := time.Now().Add(budget) // counted from when other tests let it start
				for ok, begun := true, false; ok && (!begun || time.Now().Before(deadline)); begun = true {
					seed := rand.Uint64()
					ok = t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
						counted := playSeed(t, seed)
						mu.Lock()
						defer mu.Unlock()
						total.add(counted)
					})
				}
			})
		}
	})
	for kind, what := range stepKinds {
		total[kind].name = "random sequences on three Pods, compared with a model: " + what
		total[kind].report(t)
	}
}

// The kinds of steps, one row each.
const (
	plainStep = iota
	faultyStep
	killedStep
)

var stepKinds = [...]string{plainStep: "operations", faultyStep: "operations with a fault",
	killedStep: "operations killed at a random moment"}

// A tally has a row for each kind of step.
type tally [len(stepKinds)]fault

func (all *tally) add(more tally) {
	for i := range all {
		all[i].tried += more[i].tried
		all[i].lost += more[i].lost
		all[i].worst = max(all[i].worst, more[i].worst)
	}
}

// playSeed plays the sequence of that seed, and shrinks it if it fails.
func playSeed(t *testing.T, seed uint64) tally {
	t.Helper()
	var counted tally
	steps := randomSteps(seed)
	failed := errors.New("the sequence did not end")
	if !t.Run("whole", func(t *testing.T) { counted, failed = play(t, steps) }) || failed == nil {
		return counted
	}
	t.Errorf("seed %d fails: %v", seed, failed)
	steps, failed = shrink(t, steps, failed)
	var listing strings.Builder
	for _, s := range steps {
		fmt.Fprintln(&listing, s)
	}
	t.Errorf("-faults.seed=%d plays it again; these steps are enough to fail with: %v\n%s", seed, failed, &listing)
	return counted
}

// shrink removes steps as long as the sequence fails without them, for some minutes. A kill does
// not happen at the same moment each time, so each sequence has several tries.
func shrink(t *testing.T, steps []step, failed error) ([]step, error) {
	t.Helper()
	const tries = 2
	deadline := time.Now().Add(3 * time.Minute)
	for size := len(steps) / 2; size > 0; size /= 2 {
		for from := 0; from+size <= len(steps); {
			shorter := slices.Delete(slices.Clone(steps), from, from+size)
			err := error(nil)
			for range tries {
				if time.Now().After(deadline) {
					return steps, failed
				}
				if t.Run("shorter", func(t *testing.T) { _, err = play(t, shorter) }); err != nil {
					break
				}
			}
			if err != nil {
				steps, failed = shorter, err
			} else {
				from += size
			}
		}
	}
	return steps, failed
}

// play runs the steps on new Pods. The error is the first difference from the model.
func play(t *testing.T, steps []step) (tally, error) {
	t.Helper()
	pg := newPlayground(t)
	var counted tally
	for i, s := range append(slices.Clone(steps), pg.finalSteps()...) {
		kind := s.kind()
		counted[kind].tried++
		took, err := pg.step(t, s)
		if err == nil {
			err = pg.compare(t)
		}
		if err != nil {
			counted[kind].lost++
			pg.tearDown(t)
			return counted, fmt.Errorf("step %d: %s: %w", i+1, s, err)
		}
		counted[kind].worst = max(counted[kind].worst, took)
	}
	if ports := pg.Ports(t); len(ports) > 0 {
		kactustest.Eventually(t, "no interface of the Pods on the node", func() bool { return len(pg.Ports(t)) == 0 })
	}
	return counted, nil
}
