package agent

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

const (
	// busyPause is the time until the agent looks again at a Pod on which an operation is running,
	// and longBusyPause that time once the operation has lasted longer than most.
	busyPause, longBusyPause = 200 * time.Millisecond, 2 * time.Second
	// busyLooks is how often the agent looks again soon.
	busyLooks = 25
	// blindPause is the time until the agent looks again at a Pod of which it may not know the
	// latest.
	blindPause = time.Second
	// stepLimit is the time for one hot operation. kactus's own limits are shorter.
	stepLimit = 2 * time.Minute
	// unknownGrace is how long a Pod with an address may be missing in the ledger: while its
	// sandbox is made anew, it is.
	unknownGrace = 30 * time.Second
	// attachingGrace is how long the steps of a Pod may last before its condition says so.
	attachingGrace = 2 * time.Second
	// stopGrace is how long an operation may go on that is running when the agent is told to end.
	stopGrace = 10 * time.Second
)

// reconcile takes the steps that a Pod needs, and tells of them. It returns when to look at the Pod
// again; zero for not before something changes.
func (a *Agent) reconcile(ctx context.Context, key podKey) time.Duration {
	pod := a.Pods.Pod(key.namespace, key.name)
	if pod == nil || hasEnded(pod) {
		a.forget(key)
		return 0
	}
	v, s := a.view(pod), a.state(pod)
	switch wait := s.unknownFor(v); {
	case v.situation == busy:
		return s.busyPause()
	case v.situation == starting:
		return 0
	case wait > 0:
		return wait
	}
	s.busy = 0
	s.forgetOthers(v.steps)
	a.expectLasting(s, v)
	if len(v.steps) > 0 && !a.followsPods() {
		return blindPause // the annotation may say something else by now, which another agent knows
	}
	done := a.takeVisibly(ctx, s, v)
	if ctx.Err() != nil || !a.isCurrent(pod) { // then the Pod is in the queue again
		return 0
	}
	if len(done) > 0 {
		if v = a.view(a.Pods.Pod(key.namespace, key.name)); v.situation == busy { // an agent beside this one
			return s.busyPause()
		}
		s.forgetOthers(v.steps)
		s.checkDone(done, v.steps)
	}
	a.tellProblem(s, v)
	condition, needed := s.condition(v)
	a.reporter.report(report{pod: v.pod, condition: condition, needed: needed, networks: v.networks})
	a.publish(s, v)
	return s.next(v.steps)
}

// hasEnded reports whether nothing more is to be done for the Pod: the runtime's DEL tears down
// what is attached to it.
func hasEnded(pod *kube.WatchedPod) bool {
	return pod.DeletionTimestamp != nil || pod.Status.Phase == "Succeeded" || pod.Status.Phase == "Failed"
}

// takeVisibly takes the steps, and does not leave the Pod's condition true, and its network-status
// as it was, for as long as one of them may last.
func (a *Agent) takeVisibly(ctx context.Context, s *podState, v view) (done []Step) {
	if len(v.steps) == 0 {
		return nil
	}
	a.taking.Add(1)
	defer a.taking.Add(-1)
	taken := make(chan []Step, 1)
	go func() { taken <- a.take(ctx, s, v) }()
	timer := time.NewTimer(attachingGrace)
	defer timer.Stop()
	select {
	case done = <-taken:
		return done
	case <-timer.C:
	}
	a.reporter.report(report{pod: v.pod, overTrue: true, networks: a.networksMeanwhile(v), condition: kube.Condition{
		Type: ConditionType, Status: "False", Reason: reasonAttaching, Message: truncate(v.problem(), maxMessage),
	}})
	return <-taken
}

// networksMeanwhile returns the network-status of a Pod whose steps are being taken; nil if that is
// not known.
func (a *Agent) networksMeanwhile(v view) *networkStatus {
	record, err := a.Ledger.ReadRecord(v.record.ContainerID)
	if err != nil {
		return nil
	}
	kernel, err := a.Kernel.Interfaces(record.Netns.Path)
	if err != nil {
		return nil
	}
	return newNetworkStatus(record, kernel)
}

// isRushed reports whether Pods wait to be looked at, while the networks of others are attached.
func (a *Agent) isRushed() bool { return a.queue.Len() > 0 && a.taking.Load() > 0 }

// take runs the steps whose time has come, in their order, and returns those that succeeded. One
// that fails holds up the others of the same interface alone. It ends early if the Pod has changed
// meanwhile: then the Pod is in the queue again.
func (a *Agent) take(ctx context.Context, s *podState, v view) (done []Step) {
	held := map[string]bool{}
	for _, step := range v.steps {
		if held[step.IfName] {
			continue
		}
		if ctx.Err() != nil || !a.isCurrent(v.pod) {
			return done
		}
		if !s.isDue(step) {
			held[step.IfName] = true
			continue
		}
		err := a.run(ctx, v, step)
		if err != nil {
			held[step.IfName] = true
			a.Log.Warn("failed", "pod", keyOf(v.pod), "step", step, "cause", err)
			if s.failed(step, err) {
				a.tell(s, failureOf(v.pod, step, err))
			}
			continue
		}
		a.Log.Info("done", "pod", keyOf(v.pod), "step", step)
		s.succeeded(step)
		done = append(done, step)
		if event, ok := successOf(v.pod, step); ok {
			a.tell(s, event)
		}
	}
	return done
}

// expectLasting takes for a failure what was done a moment ago, for the same annotation, and is to
// be done again: something else undoes it, and each would go on as fast as it can.
func (a *Agent) expectLasting(s *podState, v view) {
	for _, step := range s.undone(v) {
		a.Log.Warn("undone by something else", "pod", keyOf(v.pod), "step", step)
		a.tell(s, failureOf(v.pod, step, errUndone))
	}
}

var errUndone = errors.New("done a moment ago, and undone by something else, such as another agent")

// isCurrent reports whether the Pod is as it was when it was compared.
func (a *Agent) isCurrent(pod *kube.WatchedPod) bool {
	now := a.Pods.Pod(pod.Namespace, pod.Name)
	return now != nil && now.UID == pod.UID && !hasEnded(now) &&
		asked(now) == asked(pod)
}

// asked returns what the Pod's annotations select, for a comparison.
func asked(pod *kube.WatchedPod) string {
	var all []string
	for _, key := range network.Annotations() {
		if value, ok := pod.Annotations[key]; ok {
			all = append(all, key, value)
		}
	}
	return strings.Join(all, "\x00")
}

// run executes one step. It does not end at once with ctx: what is cut short must be undone.
func (a *Agent) run(ctx context.Context, v view, step Step) error {
	call, err := newCall(v, step)
	if err != nil {
		return err
	}
	stopping := ctx
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), stepLimit, errStepLimit)
	defer cancel()
	defer context.AfterFunc(stopping, func() {
		if sleep(ctx, stopGrace) {
			cancel()
		}
	})()
	start := time.Now()
	err = a.Kactus.Run(ctx, call)
	a.Metrics.operation(step.Operation, err, time.Since(start))
	return err
}

var errStepLimit = errors.New("no end within " + stepLimit.String())
