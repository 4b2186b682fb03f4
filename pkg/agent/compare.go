package agent

import (
	"cmp"
	"slices"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
)

// Seen is what the kernel has, and has not, of the record's interfaces.
type Seen struct {
	// Missing are the interfaces of the record that the kernel no longer has.
	Missing []string
	// Foreign are the interfaces of the Pod that the record does not have.
	Foreign []string
}

// Compare returns the hot operations that make what the record has attached to a Pod of that
// namespace what the selections of its annotation ask for. The DELs come first, in the reverse
// order of the record; then the ADDs, in the order of an ADD of the whole Pod, for which conf is
// the netconf. An error, as such an ADD would return, is one of the whole annotation.
func Compare(
	selections []network.Selection, record ledger.Record, conf netconf.Conf, podNamespace string, seen Seen,
) ([]Step, error) {
	c := comparison{
		record:  record,
		always:  plan.Default(conf, record.IfName),
		seen:    seen,
		wanted:  map[string]bool{},
		changed: map[string][]Change{},
		namespaces: func(s network.Selection) ([]string, error) {
			return plan.Namespaces(conf, podNamespace, s)
		},
	}
	matches := c.match(selections)
	named := make([]network.Selection, len(matches))
	for i, m := range matches {
		named[i] = m.selection
	}
	order, err := plan.Order(conf, record.IfName, named)
	if err != nil {
		return nil, err
	}
	var adds []Step
	for _, i := range order {
		if _, err := c.namespaces(named[i]); err != nil {
			return nil, err
		}
		if step, needed := c.add(matches[i]); needed {
			adds = append(adds, step)
		}
	}
	return append(c.dels(), adds...), nil
}

type comparison struct {
	record ledger.Record
	// always is what every Pod is attached to by the netconf.
	always []plan.Attachment
	seen   Seen
	// wanted holds the interfaces of the attachments that belong to a selection, and changed those
	// of them that must be made anew.
	wanted  map[string]bool
	changed map[string][]Change
	// namespaces returns those in which the Network of a selection is looked for.
	namespaces func(s network.Selection) ([]string, error)
}

// add returns the hot ADD of a selection, and whether it is needed.
func (c *comparison) add(m match) (step Step, needed bool) {
	s, a := m.selection, m.attachment
	step = Step{Operation: Add, Selection: s, IfName: s.InterfaceName(), Reason: Added}
	switch {
	case s.IsPrimary || s.PodagentSkip || m.attached && c.isOff(a):
		return step, false
	case !m.attached:
		return step, true
	case a.HalfMade():
		step.Reason = HalfMade
		return step, true
	case slices.Contains(c.seen.Missing, a.IfName):
		step.Reason = Lost
		return step, true
	}
	step.Reason, step.Changes = Changed, c.changes(a, s, step.IfName)
	c.changed[a.IfName] = step.Changes
	return step, len(step.Changes) > 0
}

// dels returns the hot DELs of what no selection asks for, or asks for otherwise.
func (c *comparison) dels() []Step {
	var steps []Step
	for _, a := range slices.Backward(c.record.Attachments) {
		changes := c.changed[a.IfName]
		if c.isOff(a) || c.wanted[a.IfName] && len(changes) == 0 {
			continue
		}
		step := Step{Operation: Del, Selection: selectionOf(a), IfName: a.IfName, Reason: Removed, Changes: changes}
		if len(changes) > 0 {
			step.Reason = Changed
		}
		steps = append(steps, step)
	}
	return steps
}

// isOff reports whether the attachment is off limits: the default network's, the netconf's own, or
// one that a selection with podagentSkip asked for. The predecessor did not record whether a
// network is the netconf's.
func (c *comparison) isOff(a ledger.Attachment) bool {
	isIts := func(always plan.Attachment) bool { return always.IfName == a.IfName }
	return a.Namespace == "" || a.IfName == c.record.IfName || a.PodagentSkip || slices.ContainsFunc(c.always, isIts)
}

// selectionOf returns what the record has of the selection for which the attachment was made.
func selectionOf(a ledger.Attachment) network.Selection {
	s := network.Selection{Name: a.Network, Namespace: a.Namespace, NPWG: a.NPWG, Requests: a.Requests}
	if a.IfName != network.DeviceName(a.Network) {
		s.IfName = a.IfName
	}
	return s
}

// changes returns in what the selection is not what is attached on an interface that, if it were
// made anew, would have the name ifName. Without a result that can be read, as the predecessor
// recorded none, nothing is known that could have changed.
func (c *comparison) changes(a ledger.Attachment, s network.Selection, ifName string) []Change {
	result, err := cniconf.ParseResult(a.Result)
	if err != nil {
		return nil
	}
	var all []Change
	if namespaces, err := c.namespaces(s); err != nil || !slices.Contains(namespaces, a.Namespace) {
		all = append(all, Namespace)
	}
	if a.IfName != ifName {
		all = append(all, InterfaceName)
	}
	// A MAC address that the ADD requested is that of the interface, even if the result has none.
	if !a.SameMAC(s.MAC, cmp.Or(a.MAC, a.ResultMAC(result))) {
		all = append(all, MACAddress)
	}
	if !a.SameIPs(s.IPs, result) {
		all = append(all, Addresses)
	}
	if !a.Rest().Same(s.Rest()) {
		all = append(all, OtherRequests)
	}
	return all
}
