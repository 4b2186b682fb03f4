package inventory

import (
	"iter"
	"net/netip"
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

	// noInterface means that there is nothing to compare: the kernel never had such an interface.
	noInterface bool
}

// Orphan is the state of an attachment that a DEL gave up.
const Orphan = "orphan"

// List returns the attachments of the ledger, ordered by Pod and then by container. The errors are
// those of ledger.Records; the corrupt records come last.
func List(l ledger.Ledger) iter.Seq2[Attachment, error] {
	return func(yield func(Attachment, error) bool) {
		for r, err := range Records(l) {
			if err != nil {
				if !yield(Attachment{}, err) {
					return
				}
				continue
			}
			for _, a := range Of(r) {
				if !yield(a, nil) {
					return
				}
			}
		}
	}
}

// Of returns the attachments of a record in the record's order, and then the orphans.
func Of(r ledger.Record) []Attachment {
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
		noInterface: recorded.NoInterface,
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
