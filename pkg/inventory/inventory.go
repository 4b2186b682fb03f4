package inventory

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

// Attachment is an attachment of the ledger, as an operator sees it.
type Attachment struct {
	// Namespace and Pod are the Pod's; empty where the ledger knows only the container.
	Namespace   string `json:"namespace"`
	Pod         string `json:"pod"`
	ContainerID string `json:"containerID"`
	Network     string `json:"network"`
	IfName      string `json:"device"`
	// MAC and IPs are those that the delegate gave the interface, according to its result.
	MAC string         `json:"mac,omitempty"`
	IPs []netip.Prefix `json:"ips,omitempty"`
	// State is "planned", "attached" or, for one that a DEL gave up, "orphan".
	State   string    `json:"state"`
	Created time.Time `json:"created"`
	// Failures counts the DELs that failed, the last one for LastFailure.
	Failures    int    `json:"failures,omitempty"`
	LastFailure string `json:"lastFailure,omitempty"`
}

// Orphan is the state of an attachment that a DEL gave up.
const Orphan = "orphan"

// List returns the attachments of the snapshot, ordered by Pod and then by container.
func List(snapshot ledger.Snapshot) []Attachment {
	all := []Attachment{}
	for _, r := range snapshot.Records {
		all = append(all, listRecord(r)...)
	}
	slices.SortStableFunc(all, byPod)
	return all
}

func byPod(a, b Attachment) int {
	return cmp.Or(
		cmp.Compare(a.Namespace, b.Namespace),
		cmp.Compare(a.Pod, b.Pod),
		cmp.Compare(a.ContainerID, b.ContainerID),
	)
}

// listRecord returns the attachments in the record's order, and then the orphans.
func listRecord(r ledger.Record) []Attachment {
	var all []Attachment
	for _, a := range r.Attachments {
		all = append(all, newAttachment(r, a, string(a.State)))
	}
	for _, a := range r.Orphans {
		all = append(all, newAttachment(r, a, Orphan))
	}
	return all
}

func newAttachment(r ledger.Record, recorded ledger.Attachment, state string) Attachment {
	a := Attachment{
		Namespace:   r.Pod.Namespace,
		Pod:         r.Pod.Name,
		ContainerID: r.ContainerID,
		Network:     recorded.Network,
		IfName:      recorded.IfName,
		State:       state,
		Created:     recorded.Created,
		Failures:    recorded.Failures,
		LastFailure: recorded.LastFailure,
	}
	a.MAC, a.IPs = given(recorded)
	return a
}

// given returns what the result says of the attachment's own interface; nothing if the result does
// not parse.
func given(a ledger.Attachment) (mac string, ips []netip.Prefix) {
	if len(a.Result) == 0 {
		return "", nil
	}
	result, err := cniconf.ParseResult(a.Result)
	if err != nil {
		return "", nil
	}
	isOwn := func(i int) bool {
		return i >= 0 && i < len(result.Interfaces) &&
			result.Interfaces[i].Name == a.IfName && result.Interfaces[i].Sandbox != ""
	}
	for i := range result.Interfaces {
		if isOwn(i) {
			mac = result.Interfaces[i].Mac
		}
	}
	for _, ip := range result.IPs {
		if ip.Interface != nil && !isOwn(*ip.Interface) {
			continue
		}
		if addr, ok := netip.AddrFromSlice(ip.Address.IP); ok {
			bits, _ := ip.Address.Mask.Size()
			ips = append(ips, netip.PrefixFrom(addr.Unmap(), bits))
		}
	}
	return mac, ips
}
