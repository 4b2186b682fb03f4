package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
)

// controller is the name under which the agent tells events.
const controller = "kaloom.com/kactus-agent"

// The reasons of events, which users of other agents know.
const (
	reasonAdded          = "AddedInterface"
	reasonRemoved        = "RemovedInterface"
	reasonFailedAdding   = "FailedAddingInterface"
	reasonFailedRemoving = "FailedRemovingInterface"
)

const (
	// maxNote is the limit that the apiserver has for the note of an event, in bytes.
	maxNote = 1024
	// eachOf is how many of the first failures are told as they happen, and seldom is how often the
	// others are: a network that never works must not cost the apiserver a request each time.
	eachOf = 10
	seldom = 5 * time.Minute
	// maxEvents bounds the events that wait for the apiserver.
	maxEvents = 512
	// eventTries is how often one event is tried.
	eventTries = 5
)

// A series is an event that happened, and how often.
type series struct {
	event kube.Event
	count int
	told  time.Time
}

// successOf returns the event of a step that was taken. Of a network that was made anew, the ADD
// tells, and not the DEL.
func successOf(pod *kube.WatchedPod, step Step) (event kube.Event, tell bool) {
	switch {
	case step.Operation == Add:
		note := fmt.Sprintf("the interface %s of the network %s was added", step.IfName, step.Selection.Name)
		if step.Reason != Added {
			note += " anew: " + step.why()
		}
		return newEvent(pod, reasonAdded, "AddInterface", false, note), true
	case step.Reason == Removed:
		return newEvent(pod, reasonRemoved, "RemoveInterface", false,
			fmt.Sprintf("the interface %s of the network %s was removed", step.IfName, step.Selection.Name)), true
	}
	return kube.Event{}, false
}

func failureReason(step Step) string {
	if step.Operation == Add {
		return reasonFailedAdding
	}
	return reasonFailedRemoving
}

// failureOf returns the event of a step that failed.
func failureOf(pod *kube.WatchedPod, step Step, err error) kube.Event {
	action := "AddInterface"
	if step.Operation == Del {
		action = "RemoveInterface"
	}
	return newEvent(pod, failureReason(step), action, true,
		fmt.Sprintf("network %s (%s): %v", step.Selection.Name, step.IfName, err))
}

func newEvent(pod *kube.WatchedPod, reason, action string, warning bool, note string) kube.Event {
	return kube.Event{
		Namespace: pod.Namespace, Pod: pod.Name, UID: string(pod.UID),
		Controller: controller, Action: action, Reason: reason, Warning: warning, Note: truncate(note, maxNote),
	}
}

// tellProblem tells what is wrong with the Pod apart from steps that fail, once.
func (a *Agent) tellProblem(s *podState, v view) {
	problem := ""
	if len(v.steps) == 0 {
		problem = v.problem()
	}
	if problem != "" && problem != s.problem {
		reason := reasonFailedAdding
		if len(v.lost) > 0 {
			reason = reasonInterfaceLost
		}
		a.Log.Warn("not as requested", "pod", keyOf(v.pod), "cause", problem)
		a.tell(s, newEvent(v.pod, reason, "AddInterface", true, problem))
	}
	s.problem = problem
}

// tell queues an event. One that was told before becomes a series.
func (a *Agent) tell(s *podState, e kube.Event) {
	const mostSeries = 64
	if len(s.series) > mostSeries {
		clear(s.series)
	}
	key := e.Reason + " " + e.Note
	told := s.series[key]
	if told == nil || !e.Warning {
		e.Time, e.Instance = metav1.NowMicro(), a.Node
		e.Name = fmt.Sprintf("%.200s.%x", e.Pod, e.Time.UnixNano())
		s.series[key] = &series{event: e, count: 1, told: e.Time.Time}
		a.send(func(ctx context.Context) error { return a.API.CreateEvent(ctx, e) })
		return
	}
	told.count++
	if told.count > eachOf && time.Since(told.told) < seldom {
		return
	}
	told.told = time.Now()
	repeated := kube.Series{Count: told.count, LastObservedTime: metav1.NowMicro()}
	first := told.event
	a.send(func(ctx context.Context) error {
		err := a.API.RepeatEvent(ctx, first.Namespace, first.Name, repeated)
		if isGone(err) { // the apiserver forgets events after an hour
			err = a.API.CreateEvent(ctx, first)
		}
		return err
	})
}

// send has a request sent to the apiserver, for which no network waits. If too many wait already,
// it is dropped.
func (a *Agent) send(request func(context.Context) error) {
	select {
	case a.events <- request:
	default:
		a.Metrics.write("event", errors.New("dropped"))
	}
}

// sendEvents sends what send has queued, in that order, until ctx ends, and then what is left, if
// that can be done in a short time.
func (a *Agent) sendEvents(ctx context.Context) {
	for {
		select {
		case request := <-a.events:
			a.sendEvent(ctx, request)
		case <-ctx.Done():
			a.sendRest(context.WithoutCancel(ctx))
			return
		}
	}
}

func (a *Agent) sendRest(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainLimit)
	defer cancel()
	for ctx.Err() == nil {
		select {
		case request := <-a.events:
			a.Metrics.write("event", request(ctx))
		default:
			return
		}
	}
}

func (a *Agent) sendEvent(ctx context.Context, request func(context.Context) error) {
	for try := range eventTries {
		err := request(ctx)
		var e *kube.Error
		if err == nil || errors.As(err, &e) && e.Status/100 == 4 && e.Status != http.StatusTooManyRequests {
			a.Metrics.write("event", err)
			if err != nil {
				a.Log.Warn("an event is not told", "cause", err)
			}
			return
		}
		if try == eventTries-1 || !sleep(ctx, pause(try)) {
			a.Metrics.write("event", err)
			a.Log.Warn("an event is not told", "cause", err)
			return
		}
	}
}
