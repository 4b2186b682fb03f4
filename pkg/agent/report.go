package agent

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	nettypes "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/util/workqueue"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
)

const (
	// reporters is how many statuses are written at once.
	reporters = 4
	// reportPause is how long a report waits while Pods wait for their networks, and
	// longestReportPause how long all such waiting may last.
	reportPause, longestReportPause = 100 * time.Millisecond, 3 * time.Second
	// drainLimit is how long an agent that ends tries to tell what it has not told.
	drainLimit = 5 * time.Second
)

// A report is what the status of a Pod should be.
type report struct {
	pod       *kube.WatchedPod
	condition kube.Condition
	// needed means that the Pod should have the condition even if it has none now.
	needed bool
	// overTrue means that only a condition that is true is to be replaced.
	overTrue bool
	// networks is what the annotation network-status should say; nil leaves it as it is.
	networks *networkStatus
	since    time.Time
	number   int // tells one report from the next
}

// A reporter writes the statuses of Pods: the condition, and the annotation network-status, both in
// one request. It works apart from the workers, so that no network waits for the apiserver, and
// gives way to them while many Pods are edited at once.
type reporter struct {
	agent *Agent
	queue workqueue.TypedDelayingInterface[podKey]

	mu      sync.Mutex // guards the following
	last    int        // the number of a report
	pending map[podKey]report
	written map[podKey]*written
}

// written is what the reporter wrote of a Pod, or tried to.
type written struct {
	uid      string
	status   status // as the last write left it; zero once the watch has seen that
	failures int    // one after the other
	// apart means that a write of both parts was refused. Then one must not keep the other from
	// being written.
	apart bool
	// entries are kactus's in the annotation, as they were last written, at that time, and undone
	// is how often in a row they had to be written again.
	entries digest
	time    time.Time
	undone  int
}

// A status is what a version of a Pod says.
type status struct {
	version      string
	condition    kube.Condition
	hasCondition bool
	networks     string // the annotation network-status; empty for none
}

func newReporter(a *Agent) *reporter {
	return &reporter{
		agent:   a,
		queue:   workqueue.NewTypedDelayingQueue[podKey](),
		pending: map[podKey]report{},
		written: map[podKey]*written{},
	}
}

// report has the status written, in place of what was to be reported of the Pod before.
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
	delete(r.written, key)
}

// start begins to write statuses. The returned function writes what is left, if that can be done in
// a short time, and ends that.
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

// do writes the status of one Pod, if it is another one now. It returns when to go on; zero for not
// at all.
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
	current := r.current(pod)
	patch := r.patch(what, current)
	if patch.NetworkStatus != nil {
		switch apart, wait := r.hold(what); {
		case patch.Condition != nil && (apart || wait > 0):
			patch.NetworkStatus, patch.ResourceVersion = nil, ""
		case wait > 0:
			return wait
		}
	}
	if patch.Condition == nil && patch.NetworkStatus == nil {
		r.done(key, what)
		return 0
	}
	patched, err := r.agent.API.PatchStatus(ctx, pod.Namespace, pod.Name, patch)
	if patch.Condition != nil {
		r.agent.Metrics.write("condition", err)
	}
	if patch.NetworkStatus != nil {
		r.agent.Metrics.write("network-status", err)
	}
	if isGone(err) {
		r.done(key, what)
		return 0
	}
	return r.note(what, current, patch, patched, err)
}

// patch returns what is to be changed for a Pod to be as reported. The annotation is that of other
// writers too: what they write between that version and the patch must not be lost.
func (r *reporter) patch(what report, current status) kube.StatusPatch {
	patch := kube.StatusPatch{UID: string(what.pod.UID)}
	wanted := what.condition
	isRight := current.hasCondition && isSame(current.condition, wanted)
	isLeft := !current.hasCondition && !what.needed ||
		what.overTrue && (!current.hasCondition || current.condition.Status != "True")
	if !isRight && !isLeft {
		wanted.LastTransitionTime = metav1.NewTime(time.Now().Truncate(time.Second))
		if current.hasCondition && current.condition.Status == wanted.Status {
			wanted.LastTransitionTime = current.condition.LastTransitionTime
		}
		patch.Condition = &wanted
	}
	if what.networks == nil {
		return patch
	}
	networks, unreadable := what.networks.merge(current.networks)
	if unreadable != nil {
		r.agent.Log.Warn("what cannot be decoded of the annotation network-status is removed",
			"pod", keyOf(what.pod), "cause", unreadable)
	}
	if networks != current.networks {
		patch.NetworkStatus, patch.ResourceVersion = &networks, current.version
	}
	return patch
}

func isSame(a, b kube.Condition) bool {
	return a.Status == b.Status && a.Reason == b.Reason && a.Message == b.Message
}

// hold returns whether the annotation is to be written apart from the condition, and how long it
// must wait. It waits if its entries were written a moment ago: something else undoes that, and
// each would go on as fast as it can.
func (r *reporter) hold(what report) (apart bool, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.writtenOf(what.pod)
	if w.undone > 0 && w.entries == what.networks.digest() {
		wait = time.Until(w.time.Add(pause(w.undone - 1)))
	}
	return w.apart, wait
}

// writtenOf returns what the reporter wrote of the Pod. The lock must be held.
func (r *reporter) writtenOf(pod *kube.WatchedPod) *written {
	w := r.written[keyOf(pod)]
	if w == nil || w.uid != string(pod.UID) {
		w = &written{uid: string(pod.UID)}
		r.written[keyOf(pod)] = w
	}
	return w
}

// note notes that the status was written, or why not. It returns when to go on.
func (r *reporter) note(
	what report, current status, patch kube.StatusPatch, patched kube.PatchedStatus, err error,
) time.Duration {
	const atOnce = time.Millisecond
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.writtenOf(what.pod)
	if err != nil {
		w.failures++
		if !isConflict(err) { // else the newer Pod is reported anew once it is seen
			w.apart = true
			r.agent.Log.Warn("the status is not written", "pod", keyOf(what.pod), "cause", err)
		}
		return pause(w.failures - 1)
	}
	w.failures, w.status = 0, current
	w.status.version, w.status.networks = patched.ResourceVersion, patched.NetworkStatus
	if patch.Condition != nil {
		w.status.condition, w.status.hasCondition = *patch.Condition, true
	}
	if patch.NetworkStatus != nil {
		w.wrote(what.networks.digest())
	}
	return atOnce // to see whether that is all
}

// wrote notes that these entries were written.
func (w *written) wrote(entries digest) {
	w.apart = false
	if w.entries == entries && time.Since(w.time) < lasting {
		w.undone++
	} else {
		w.undone = 0
	}
	w.entries, w.time = entries, time.Now()
}

// done forgets a report, unless there is a later one.
func (r *reporter) done(key podKey, what report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending[key].number == what.number {
		delete(r.pending, key)
	}
}

// current returns the status of the Pod as the reporter wrote it, or, where the watch has seen a
// later version of the Pod, as that has it.
func (r *reporter) current(pod *kube.WatchedPod) status {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.written[keyOf(pod)]; w != nil && w.uid == string(pod.UID) {
		order, err := resourceversion.CompareResourceVersion(pod.ResourceVersion, w.status.version)
		if err == nil && order < 0 {
			return w.status
		}
		w.status = status{}
	}
	current := status{version: pod.ResourceVersion, networks: pod.Annotations[nettypes.NetworkStatusAnnot]}
	for _, c := range pod.Status.Conditions {
		if c.Type == ConditionType {
			current.condition, current.hasCondition = c, true
		}
	}
	return current
}

// isGone reports whether the apiserver does not know, or no longer knows, the object.
func isGone(err error) bool {
	var e *kube.Error
	return errors.As(err, &e) && e.Status == http.StatusNotFound
}

// isConflict reports whether the object is another version than the one that was to be changed.
func isConflict(err error) bool {
	var e *kube.Error
	return errors.As(err, &e) && e.Status == http.StatusConflict
}
