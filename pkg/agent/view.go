package agent

import (
	"slices"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// situation is what the agent finds a Pod in.
type situation string

const (
	// running means that the Pod's networks can be compared with its annotation.
	running situation = "running"
	// starting means that the Pod's own ADD has not ended, or has failed.
	starting situation = "starting"
	// busy means that an operation on the Pod's sandbox is running.
	busy situation = "busy"
	// hostNetwork means that the Pod has no network namespace of its own.
	hostNetwork situation = "host network"
	// unknown means that the Pod runs, and that the ledger does not know of it.
	unknown situation = "unknown"
	// invalid means that the annotation is broken, or the netconf is.
	invalid situation = "invalid"
)

// A view is what the agent knows of a Pod at one moment.
type view struct {
	pod       *kube.WatchedPod
	situation situation
	// record is that of the live sandbox, where there is one.
	record  ledger.Record
	netconf Netconf
	// networks is what the annotation network-status should say; nil where there is no record.
	networks *networkStatus
	// selected is how many networks the annotation asks the agent for.
	selected int
	steps    []Step
	// lost are the interfaces that the kernel no longer has, and of which the agent makes none.
	lost []string
	// cause says why the situation is invalid, and netconfBroken that it is the netconf's fault.
	cause         error
	netconfBroken bool
	// notes are what is worth knowing of the annotations, but not wrong.
	notes []error
}

// view looks at a Pod, and changes nothing.
func (a *Agent) view(pod *kube.WatchedPod) view {
	v := view{pod: pod}
	selections, notes, err := network.ParsePod(pod.Annotations)
	v.notes = notes
	for _, s := range selections {
		if !s.PodagentSkip && !(s.NPWG && s.IsPrimary) {
			v.selected++
		}
	}
	record, found := a.sandbox(pod)
	switch {
	case pod.Spec.HostNetwork && err != nil:
		v.situation, v.cause = invalid, err
		return v
	case pod.Spec.HostNetwork:
		v.situation = hostNetwork
		return v
	case !found && pod.Status.PodIP != "":
		v.situation = unknown
		return v
	case !found || !hasStarted(record):
		v.situation = starting
		return v
	}
	v.record = record
	if a.Ledger.Busy(record.ContainerID) {
		v.situation = busy
		return v
	}
	kernel, gone := a.Kernel.Interfaces(record.Netns.Path)
	if gone != nil { // since a moment ago
		v.situation = starting
		return v
	}
	v.networks = newNetworkStatus(record, kernel)
	v.situation = running
	if err != nil {
		v.situation, v.cause = invalid, err
	} else if v.netconf, err = a.Kactus.Netconf(); err != nil {
		v.situation, v.cause, v.netconfBroken = invalid, err, true
	} else if err := a.compare(&v, selections, seen(record, kernel)); err != nil {
		v.situation, v.cause = invalid, err
	}
	return v
}

// compare sets what there is to do.
func (a *Agent) compare(v *view, selections []network.Selection, seen Seen) (err error) {
	v.steps, err = Compare(selections, v.record, v.netconf.Conf, v.pod.Namespace, seen)
	if err != nil {
		return &network.AnnotationError{Annotation: network.DecidingAnnotation(v.pod.Annotations), Cause: err}
	}
	for _, ifName := range seen.Missing {
		isRepaired := func(s Step) bool { return s.IfName == ifName && (a.Repair || s.Reason != Lost) }
		if !slices.ContainsFunc(v.steps, isRepaired) {
			v.lost = append(v.lost, ifName)
		}
	}
	if !a.Repair {
		v.steps = slices.DeleteFunc(v.steps, func(s Step) bool { return s.Reason == Lost })
	}
	return nil
}

// sandbox returns the record of the Pod's live sandbox: of those whose network namespace lives, the
// newest.
func (a *Agent) sandbox(pod *kube.WatchedPod) (newest ledger.Record, found bool) {
	for _, id := range a.index.of(keyOf(pod)) {
		record, err := a.Ledger.ReadRecord(id)
		if err != nil || record.Pod.UID != "" && record.Pod.UID != pod.RuntimeUID() {
			continue
		}
		now, err := a.Kernel.Identify(record.Netns.Path)
		if err != nil || !now.Same(record.Netns) || len(record.Attachments) == 0 {
			continue
		}
		if !found || record.Attachments[0].Created.After(newest.Attachments[0].Created) {
			newest, found = record, true
		}
	}
	return newest, found
}

// hasStarted reports whether the ADD of the record's Pod has ended, and no DEL has failed, which
// will be repeated: the default network is attached whole, and no other network of the ADD is still
// planned.
func hasStarted(record ledger.Record) bool {
	if record.IfName == "" {
		return true // an agent attached networks to a Pod that something else started
	}
	own, ok := record.Find(record.IfName)
	return ok && !own.HalfMade() &&
		!slices.ContainsFunc(record.Attachments, func(a ledger.Attachment) bool {
			return a.State == ledger.Planned && !a.Hot
		})
}

// problem returns why the Pod is not as its annotation says; empty if it is, or if that cannot be
// told yet.
func (v view) problem() string {
	switch {
	case v.situation == invalid:
		return v.cause.Error()
	case v.situation == hostNetwork && v.selected > 0:
		return "the Pod uses the node's network (hostNetwork), to which nothing is attached"
	case v.situation == unknown && v.selected > 0:
		return "the ledger does not know the Pod, which something else than kactus started: start it anew"
	case len(v.steps) > 0:
		var todo []string
		for _, step := range v.steps {
			todo = append(todo, step.String())
		}
		return "still to do: " + strings.Join(todo, "; ")
	case len(v.lost) > 0:
		return "lost by the kernel: " + strings.Join(v.lost, ", ")
	}
	return ""
}
