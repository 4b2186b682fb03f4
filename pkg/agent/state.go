package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
)

const (
	shortestPause, longestPause = time.Second, 30 * time.Second
	// patience is how often a step may be told to come later until that is a failure.
	patience = 3
	// lasting is how long the effect of a step must last.
	lasting = time.Minute
)

// podState is what the agent remembers of a Pod: what failed, and what it told of the Pod. To
// forget it costs nothing but a step that is taken sooner. Only the worker that has the Pod uses
// it.
type podState struct {
	uid      string
	attempts map[string]*attempt
	series   map[string]*series
	// taken are the steps that succeeded for the annotation.
	annotation string
	taken      map[string]*success
	// problem is what was told of the Pod last.
	problem string
	unknown time.Time // since when the ledger does not know the Pod
	busy    int       // how often in a row an operation was running

	published published
}

// published is what the metrics read of a Pod's state, under the agent's lock.
type published struct{ asked, differs bool }

// An attempt is a step that failed.
type attempt struct {
	step     Step
	err      error
	failures int
	later    int // how often kactus said: later
	next     time.Time
}

// A success is a step that succeeded.
type success struct {
	last   time.Time
	undone int // how often in a row it did not last
}

// state returns what the agent remembers of the Pod.
func (a *Agent) state(pod *kube.WatchedPod) *podState {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.states[keyOf(pod)]
	if s == nil || s.uid != string(pod.UID) {
		s = &podState{uid: string(pod.UID), attempts: map[string]*attempt{}, series: map[string]*series{},
			taken: map[string]*success{}}
		a.states[keyOf(pod)] = s
	}
	return s
}

func (a *Agent) forget(key podKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.states, key)
	a.reporter.forget(key)
}

// id identifies a step. Once the annotation asks for something else, it is another step.
func (s Step) id() string {
	selection, _ := json.Marshal(s.Selection) // cannot fail: strings alone
	return strings.Join([]string{string(s.Operation), s.IfName, string(selection)}, " ")
}

// forgetOthers forgets what failed and is no longer to be done.
func (s *podState) forgetOthers(steps []Step) {
	for id := range s.attempts {
		if !slices.ContainsFunc(steps, func(step Step) bool { return step.id() == id }) {
			delete(s.attempts, id)
		}
	}
}

// isDue reports whether the step is to be taken now.
func (s *podState) isDue(step Step) bool {
	failed := s.attempts[step.id()]
	return failed == nil || !time.Now().Before(failed.next)
}

// failed notes that the step failed, and reports whether to tell of it: a step for which it is only
// too early is taken again before anybody is told.
func (s *podState) failed(step Step, err error) (tell bool) {
	failed := s.attempts[step.id()]
	if failed == nil {
		failed = &attempt{step: step}
		s.attempts[step.id()] = failed
	}
	failed.err = err
	var coded *types.Error
	if errors.As(err, &coded) && coded.Code == types.ErrTryAgainLater && failed.later < patience {
		failed.later++
		failed.next = time.Now().Add(jitter(shortestPause))
		return false
	}
	failed.next = time.Now().Add(pause(failed.failures))
	failed.failures++
	return true
}

// pause returns the time to wait after that many failures before the last one.
func pause(failures int) time.Duration {
	return jitter(min(shortestPause<<min(failures, 10), longestPause))
}

// jitter returns d, less up to a quarter, so that what failed together is not all tried together.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/4+1) }

func (s *podState) succeeded(step Step) {
	done := s.taken[step.id()]
	if done == nil {
		done = &success{}
		s.taken[step.id()] = done
	}
	done.last = time.Now()
}

// undone returns the steps that succeeded, but did not last, and lets them wait.
func (s *podState) undone(v view) (steps []Step) {
	if annotation := asked(v.pod); annotation != s.annotation {
		s.annotation = annotation
		clear(s.taken)
	}
	for _, step := range v.steps {
		done := s.taken[step.id()]
		if done == nil || s.attempts[step.id()] != nil || step.Reason == Lost { // by the kernel
			continue
		}
		if time.Since(done.last) > lasting {
			delete(s.taken, step.id())
			continue
		}
		s.attempts[step.id()] = &attempt{
			step: step, err: errUndone, failures: done.undone + 1, next: done.last.Add(pause(done.undone)),
		}
		done.undone++
		steps = append(steps, step)
	}
	return steps
}

// checkDone takes for a failure what succeeded and is to be done again, so that it is not done
// without end.
func (s *podState) checkDone(done, steps []Step) {
	for _, step := range done {
		if slices.ContainsFunc(steps, func(again Step) bool { return again.id() == step.id() }) {
			s.failed(step, errors.New("kactus reports success, and yet the network is not attached as requested"))
		}
	}
}

// unknownFor returns how much longer to wait for the record of a Pod that the ledger does not know.
func (s *podState) unknownFor(v view) time.Duration {
	if v.situation != unknown {
		s.unknown = time.Time{}
		return 0
	}
	if s.unknown.IsZero() {
		s.unknown = time.Now()
	}
	return time.Until(s.unknown.Add(unknownGrace))
}

// busyPause returns when to look again at a Pod on which an operation is running.
func (s *podState) busyPause() time.Duration {
	if s.busy++; s.busy > busyLooks {
		return longBusyPause
	}
	return busyPause
}

// next returns when to look at the Pod again.
func (s *podState) next(steps []Step) time.Duration {
	var next time.Duration
	sooner := func(d time.Duration) {
		if d = max(d, time.Millisecond); next == 0 || d < next {
			next = d
		}
	}
	held := map[string]bool{}
	for _, step := range steps {
		if held[step.IfName] {
			continue
		}
		held[step.IfName] = true
		if failed := s.attempts[step.id()]; failed != nil {
			sooner(time.Until(failed.next))
		} else {
			sooner(0)
		}
	}
	return next
}

// failures returns why steps failed that are still to be done; empty if none has.
func (s *podState) failures() string {
	var all []string
	for _, failed := range s.attempts {
		all = append(all, fmt.Sprintf("%s: %v", failed.step, failed.err))
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}
