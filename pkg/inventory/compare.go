package inventory

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
)

// Finding is an attachment and how it compares with the kernel.
type Finding struct {
	Attachment
	// Busy means that an operation on the container is running, so that nothing else can be said.
	Busy bool `json:"busy,omitempty"`
	// Unknown means that the network namespace is not recorded, so that nothing can be compared: a
	// record of the predecessor.
	Unknown bool `json:"unknown,omitempty"`
	// Problem is how the attachment differs; empty if it does not.
	Problem string `json:"problem,omitempty"`
}

// HasProblem reports whether the attachment differs from the kernel.
func (f Finding) HasProblem() bool { return f.Problem != "" }

// Compare compares each attachment of the ledger with the kernel: its network namespace must exist,
// with the interface in it, which must have the MAC address and the IP addresses that its delegate
// gave it. A corrupt record is a finding, too. The order is that of List.
func Compare(l ledger.Ledger) iter.Seq2[Finding, error] {
	return func(yield func(Finding, error) bool) {
		index, err := netns.Scan()
		if err != nil {
			yield(Finding{}, err)
			return
		}
		for r, err := range Records(l) {
			found, err := compareOrReport(l, index, r, err)
			if err != nil {
				yield(Finding{}, err)
				return
			}
			for _, f := range found {
				if !yield(f, nil) {
					return
				}
			}
		}
	}
}

// compareOrReport compares a record, or, where it could not be read, reports that it is corrupt.
func compareOrReport(l ledger.Ledger, index netns.Index, r ledger.Record, unread error) ([]Finding, error) {
	var corrupt ledger.CorruptRecord
	switch {
	case errors.As(unread, &corrupt):
		f := Finding{Attachment: Attachment{ContainerID: corrupt.ContainerID}, Problem: corrupt.Error()}
		return []Finding{f}, nil
	case unread != nil:
		return nil, unread
	}
	found := compareRecord(l, index, r)
	if slices.ContainsFunc(found, Finding.HasProblem) {
		found = compareAgain(l, index, r.ContainerID, found)
	}
	return found, nil
}

// compareAgain compares the record as it is now: an operation that ended since it was read may have
// made the difference.
func compareAgain(l ledger.Ledger, index netns.Index, containerID string, before []Finding) []Finding {
	r, err := l.ReadRecord(containerID)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return before
	}
	return compareRecord(l, index, r)
}

func compareRecord(l ledger.Ledger, index netns.Index, r ledger.Record) []Finding {
	ns, err := openNetns(index, r.Netns)
	if err == nil {
		defer ns.Close()
	}
	var found []Finding
	for _, a := range Of(r) {
		problem := stateProblem(a)
		isUnknown := problem == "" && r.Netns.IsZero()
		switch {
		case problem != "" || isUnknown:
		case err != nil:
			problem = err.Error()
		case !a.noInterface:
			problem = interfaceProblem(ns, a)
		}
		found = append(found, Finding{Attachment: a, Unknown: isUnknown, Problem: problem})
	}
	if slices.ContainsFunc(found, Finding.HasProblem) && l.Busy(r.ContainerID) {
		for i := range found {
			found[i].Busy, found[i].Problem = true, ""
		}
	}
	return found
}

// openNetns opens the network namespace if it is still the recorded one.
func openNetns(index netns.Index, recorded netns.ID) (*netns.Namespace, error) {
	switch {
	case index.Gone(recorded):
		return nil, errors.New("the network namespace is gone")
	case !index.Visible(recorded):
		return nil, errors.New("the network namespace is not visible from here: " +
			"this is not the mount namespace of the container runtime")
	}
	now, err := netns.Identify(recorded.Path)
	if err != nil {
		return nil, err
	}
	if !now.Same(recorded) {
		return nil, fmt.Errorf("the network namespace is no longer at %s", recorded.Path)
	}
	return netns.Open(recorded.Path)
}

func stateProblem(a Attachment) string {
	switch {
	case a.State == Orphan:
		return "given up by a DEL: " + a.LastFailure
	case a.Failures > 0:
		return fmt.Sprintf("a DEL failed (%d times): %s", a.Failures, a.LastFailure)
	case a.State == string(ledger.Planned):
		return "half made"
	}
	return ""
}

func interfaceProblem(ns *netns.Namespace, a Attachment) string {
	mac, err := ns.MAC(a.IfName)
	if errors.Is(err, netns.ErrNoInterface) {
		return netns.ErrNoInterface.Error()
	}
	if err != nil {
		return err.Error()
	}
	addresses, err := ns.Addresses(a.IfName)
	if err != nil {
		return err.Error()
	}
	var problems []string
	if a.MAC != "" && !strings.EqualFold(a.MAC, string(mac)) {
		problems = append(problems, fmt.Sprintf("the MAC address is %s, not %s", mac, a.MAC))
	}
	for _, ip := range a.IPs {
		// A delegate may give an interface another prefix length than its result says.
		if !slices.ContainsFunc(addresses, func(p netip.Prefix) bool { return p.Addr() == ip.Addr() }) {
			problems = append(problems, fmt.Sprintf("the address %s is missing", ip))
		}
	}
	return strings.Join(problems, "; ")
}
