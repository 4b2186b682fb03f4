package ledger

import (
	"encoding/json"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

// Record holds what the ledger knows of one container.
type Record struct {
	ContainerID string
	Netns       netns.ID
	Pod         podargs.Pod
	// IfName is the interface of the default network; empty where the ledger knows only of hot
	// networks.
	IfName string
	// Attachments exist, or may exist.
	Attachments []Attachment
	// Orphans are attachments that a DEL gave up: the container is gone, and something of them may
	// be left on the node.
	Orphans []Attachment
}

// Attachment is an attachment as planned, and what became of it.
type Attachment struct {
	plan.Attachment
	State State
	// Args is the CNI_ARGS that the delegate was given.
	Args string
	// Created is when the attachment was planned.
	Created time.Time
	// Hot means that a hot ADD planned it, and not the ADD of the Pod.
	Hot bool
	// NoInterface means that the kernel knows no interface of that name: what the delegate made is
	// known to the delegate alone.
	NoInterface bool
	// PreviousMAC is the MAC address that the interface had before kactus set the one that was
	// asked for; empty if kactus did not.
	PreviousMAC network.MAC
	// PreviousRoutes are the Pod's default routes of the families of DefaultRoute, on other
	// interfaces, that were there before kactus set the one that was asked for.
	PreviousRoutes []netns.Route
	// DeviceInfo is what the attachment's device-info file says after the ADD; nil for nothing.
	DeviceInfo json.RawMessage
	// Result is the result of the delegate's ADD as corrected by kactus; empty while State is
	// Planned.
	Result json.RawMessage
	// TornDown are the positions in Config of the plugins whose DEL succeeded when the DEL of the
	// attachment failed.
	TornDown []int
	// Failures counts the DELs that failed since FailingSince, the last one for LastFailure.
	Failures     int
	FailingSince *time.Time
	LastFailure  string
}

// State says how far the ADD of an attachment came.
type State string

// The states of an attachment. One that a DEL gave up is among the orphans of its record.
const (
	// Planned means that the delegate may have run.
	Planned State = "planned"
	// Attached means that the delegate ran, and that its result is recorded.
	Attached State = "attached"
)

// Find returns the attachment, not an orphan, with that interface name.
func (r Record) Find(ifName string) (Attachment, bool) {
	for _, a := range r.Attachments {
		if a.IfName == ifName {
			return a, true
		}
	}
	return Attachment{}, false
}

// FindNetwork returns the attachment, not an orphan, to the Network of that name, on whichever
// interface.
func (r Record) FindNetwork(name string) (Attachment, bool) {
	for _, a := range r.Attachments {
		if a.Network == name && a.Namespace != "" && !a.NPWG {
			return a, true
		}
	}
	return Attachment{}, false
}

// listWith returns the list that holds the interface: the attachments, or else the orphans.
func (r *Record) listWith(ifName string) *[]Attachment {
	if _, ok := r.Find(ifName); ok {
		return &r.Attachments
	}
	return &r.Orphans
}

// HalfMade reports whether the attachment may be there in part alone: its ADD did not end, or a DEL
// of it failed, which may have torn down a part.
func (a Attachment) HalfMade() bool { return a.State != Attached || a.Failures > 0 }

// failed returns a with one more failed DEL, after which the DELs of tornDown have succeeded. A
// time in the future, from before the clock was set back, counts as now.
func (a Attachment) failed(now time.Time, cause error, tornDown []int) Attachment {
	const maxLength = 4 << 10
	a.Failures++
	a.TornDown = tornDown
	if a.FailingSince == nil || a.FailingSince.After(now) {
		a.FailingSince = &now
	}
	a.LastFailure = cause.Error()
	a.LastFailure = a.LastFailure[:min(len(a.LastFailure), maxLength)]
	return a
}
