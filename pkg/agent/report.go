package agent

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/util/workqueue"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
)

const (
	// reporters is how many conditions are set at once.
	reporters = 4
	// reportPause is how long a report waits while Pods wait for their networks, and
	// longestReportPause how long all such waiting may last.
	reportPause, longestReportPause = 100 * time.Millisecond, 3 * time.Second
	// drainLimit is how long an agent that ends tries to tell what it has not told.
	drainLimit = 5 * time.Second
)

// A report is what the condition of a Pod should be.
type report struct {
	pod       *kube.WatchedPod
	condition kube.Condition
	// needed means that the Pod should have the condition even if it has none now.
	needed bool
	// overTrue means that only a condition that is true is to be replaced.
	overTrue bool
	since    time.Time
	number   int // tells one report from the next
}

// A reporter sets conditions of Pods. It works apart from the workers, so that no network waits for
// the apiserver, and gives way to them while many Pods are edited at once.
type reporter struct {
	agent *Agent
	queue workqueue.TypedDelayingInterface[podKey]

	mu      sync.Mutex // guards the following
	last    int        // the number of a report
	pending map[podKey]report
	set     map[podKey]*setCondition
}

// A setCondition is a condition that the reporter set, or tried to.
type setCondition struct {
	uid       string
	condition kube.Condition
	version   string // the Pod's resource version with the condition; empty if it was never set
	failures  int    // one after the other
}

func newReporter(a *Agent) *reporter {
	return &reporter{
		agent:   a,
		queue:   workqueue.NewTypedDelayingQueue[podKey](),
		pending: map[podKey]report{},
		set:     map[podKey]*setCondition{},
	}
}

// report has the condition set, in place of what was to be reported of the Pod before.
func (r *reporter) report(what report) {
	key := keyOf(what.pod)
	what.since = time.Now()
	r.mu.Lock()
	r.last++
	what.number = r.last
	r.pending[key] = what
	r.mu.Unlock()
	r.queue.Add(key)
}

// forget forgets a Pod that is gone.
func (r *reporter) forget(key podKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.pending, key)
	delete(r.set, key)
}

// start begins to set conditions. The returned function sets what is left, if that can be done in a
// short time, and ends that.
func (r *reporter) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	for range reporters {
		running.Go(func() { r.work(ctx) })
	}
	return func() {
		for end := time.Now().Add(drainLimit); !r.isDone() && time.Now().Before(end); {
			sleep(ctx, reportPause)
		}
		r.queue.ShutDown()
		cancel()
		running.Wait()
	}
}

func (r *reporter) isDone() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.pending) == 0
}

func (r *reporter) work(ctx context.Context) {
	for {
		key, shutDown := r.queue.Get()
		if shutDown {
			return
		}
		if again := r.do(ctx, key); again > 0 {
			r.queue.AddAfter(key, again)
		}
		r.queue.Done(key)
	}
}

// do sets the condition of one Pod, if it is another one now. It returns when to try again; zero
// for not at all.
func (r *reporter) do(ctx context.Context, key podKey) time.Duration {
	r.mu.Lock()
	what, pending := r.pending[key]
	r.mu.Unlock()
	pod := r.agent.Pods.Pod(key.namespace, key.name)
	switch {
	case !pending:
		return 0
	case pod == nil || pod.UID != what.pod.UID:
		r.done(key, what)
		return 0
	case r.agent.isRushed() && time.Since(what.since) < longestReportPause:
		return reportPause
	}
	current, has := r.current(pod)
	if has && isSame(current, what.condition) || !has && !what.needed ||
		what.overTrue && (!has || current.Status != "True") {
		r.done(key, what)
		return 0
	}
	wanted := what.condition
	wanted.LastTransitionTime = metav1.NewTime(time.Now().Truncate(time.Second))
	if has && current.Status == wanted.Status {
		wanted.LastTransitionTime = current.LastTransitionTime
	}
	version, err := r.agent.API.SetCondition(ctx, pod.Namespace, pod.Name, string(pod.UID), wanted)
	r.agent.Metrics.write("condition", err)
	again := r.note(pod, wanted, version, err)
	if again == 0 {
		r.done(key, what)
	}
	return again
}

func isSame(a, b kube.Condition) bool {
	return a.Status == b.Status && a.Reason == b.Reason && a.Message == b.Message
}

// note notes that the condition was set, or why not. It returns when to try again.
func (r *reporter) note(pod *kube.WatchedPod, wanted kube.Condition, version string, err error) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	set := r.set[keyOf(pod)]
	if set == nil || set.uid != string(pod.UID) {
		set = &setCondition{uid: string(pod.UID)}
		r.set[keyOf(pod)] = set
	}
	switch {
	case err == nil:
		set.condition, set.version, set.failures = wanted, version, 0
		return 0
	case isGone(err):
		return 0
	}
	set.failures++
	r.agent.Log.Warn("the condition is not set", "pod", keyOf(pod), "cause", err)
	return pause(set.failures - 1)
}

// done forgets a report, unless there is a later one.
func (r *reporter) done(key podKey, what report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending[key].number == what.number {
		delete(r.pending, key)
	}
}

// current returns the condition of the Pod: as the reporter set it, or, where the watch has seen a
// later version of the Pod, as that has it.
func (r *reporter) current(pod *kube.WatchedPod) (c kube.Condition, has bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if set := r.set[keyOf(pod)]; set != nil && set.uid == string(pod.UID) && set.version != "" {
		order, err := resourceversion.CompareResourceVersion(pod.ResourceVersion, set.version)
		if err == nil && order < 0 {
			return set.condition, true
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == ConditionType {
			return c, true
		}
	}
	return kube.Condition{}, false
}

// isGone reports whether the apiserver does not know, or no longer knows, the object.
func isGone(err error) bool {
	var e *kube.Error
	return errors.As(err, &e) && e.Status == http.StatusNotFound
}
