// Package inventory is what an operator sees of a node's ledger: its attachments, and how they compare with the kernel. It takes no lock, and changes
// nothing.
package inventory

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniresult"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

// Attachment is one of the ledger's, as an operator wants to see it.
type Attachment struct {
	// Namespace and Pod are the Pod's; empty where the ledger knows the container alone.
	Namespace   string `json:"namespace"`
	Pod         string `json:"pod"`
	ContainerID string `json:"containerID"`
	Network     string `json:"network"`
	Device      string `json:"device"`
	// MAC and IPs are those that the delegate gave the device, by its result.
	MAC string         `json:"mac,omitempty"`
	IPs []netip.Prefix `json:"ips,omitempty"`
	// State is "planned", "attached" or, for one that a DEL gave up, "orphan".
	State   string    `json:"state"`
	Created time.Time `json:"created"`
	// Failures is how many DELs of it failed, the last for the reason LastFailure.
	Failures    int    `json:"failures,omitempty"`
	LastFailure string `json:"lastFailure,omitempty"`
}

// Orphan is the state of an attachment that a DEL gave up.
const Orphan = "orphan"

// Of lists what the snapshot holds, by Pods and then by containers.
func Of(snapshot ledger.Snapshot) []Attachment {
	all := []Attachment{}
	for _, r := range snapshot.Records {
		all = append(all, ofRecord(r)...)
	}
	slices.SortStableFunc(all, byPod)
	return all
}

func byPod(a, b Attachment) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.ContainerID, b.ContainerID))
}

// ofRecord lists the attachments in the record's order, and then the orphans.
func ofRecord(r ledger.Record) []Attachment {
	var all []Attachment
	for _, e := range r.Attachments {
		all = append(all, ofEntry(r, e, string(e.State)))
	}
	for _, e := range r.Orphans {
		all = append(all, ofEntry(r, e, Orphan))
	}
	return all
}

func ofEntry(r ledger.Record, e ledger.Entry, state string) Attachment {
	a := Attachment{
		Namespace:   r.Pod.Namespace,
		Pod:         r.Pod.Name,
		ContainerID: r.ContainerID,
		Network:     e.Network,
		Device:      e.Device,
		State:       state,
		Created:     e.Created,
		Failures:    e.Failures,
		LastFailure: e.LastFailure,
	}
	a.MAC, a.IPs = given(e)
	return a
}

// given is what the result says of the attachment's own device. A result that does not read says nothing.
func given(e ledger.Entry) (mac string, ips []netip.Prefix) {
	if len(e.Result) == 0 {
		return "", nil
	}
	current, err := cniresult.Current(e.Result)
	if err != nil {
		return "", nil
	}
	isOwn := func(i int) bool {
		return i >= 0 && i < len(current.Interfaces) && current.Interfaces[i].Name == e.Device && current.Interfaces[i].Sandbox != ""
	}
	for i := range current.Interfaces {
		if isOwn(i) {
			mac = current.Interfaces[i].Mac
		}
	}
	for _, ip := range current.IPs {
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
