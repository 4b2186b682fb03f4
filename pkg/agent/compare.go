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

// Compare returns the hot operations that make what the record has attached to a Pod of that
// namespace what the selections of its annotation ask for. The DELs come first, in the reverse
// order of the record; then the ADDs, in the order of an ADD of the whole Pod, for which conf is
// the netconf. missing has the interfaces of the record that the kernel no longer has. An error, as
// such an ADD would return, is one of the whole annotation.
func Compare(
	selections []network.Selection, record ledger.Record, conf netconf.Conf, podNamespace string, missing []string,
) ([]Step, error) {
	order, err := plan.Order(conf, record.IfName, selections)
	if err != nil {
		return nil, err
	}
	c := comparison{
		record:  record,
		always:  plan.Default(conf, record.IfName),
		missing: missing,
		wanted:  map[string]bool{},
		changes: map[string][]Change{},
	}
	var adds []Step
	for _, i := range order {
		namespaces, err := plan.Namespaces(conf, podNamespace, selections[i])
		if err != nil {
			return nil, err
		}
		if step, needed := c.add(selections[i], namespaces); needed {
			adds = append(adds, step)
		}
	}
	return append(c.dels(), adds...), nil
}

type comparison struct {
	record ledger.Record
	// always is what every Pod is attached to by the netconf.
	always []plan.Attachment
	// missing has the interfaces that the kernel no longer has.
	missing []string
	// wanted holds the interfaces of the attachments that belong to a selection, and changes those
	// of them that must be made anew.
	wanted  map[string]bool
	changes map[string][]Change
}

// add returns the hot ADD of a selection whose Network is looked for in those namespaces, and
// whether it is needed.
func (c *comparison) add(s network.Selection, namespaces []string) (step Step, needed bool) {
	step = Step{Operation: Add, Selection: s, IfName: network.DeviceName(s.Name), Reason: Added}
	a, attached := c.record.FindNetwork(s.Name, step.IfName)
	attached = attached && a.Network == s.Name // else another network has that interface name
	if attached {
		c.wanted[a.IfName] = true
	}
	switch {
	case s.IsPrimary || s.PodagentSkip || attached && c.isOff(a):
		return step, false
	case !attached:
		return step, true
	case a.HalfMade():
		step.Reason = HalfMade
		return step, true
	case slices.Contains(c.missing, a.IfName):
		step.Reason = Lost
		return step, true
	}
	step.Reason, step.Changes = Changed, changes(a, s, step.IfName, namespaces)
	c.changes[a.IfName] = step.Changes
	return step, len(step.Changes) > 0
}

// dels returns the hot DELs of what no selection asks for, or asks for otherwise.
func (c *comparison) dels() []Step {
	var steps []Step
	for _, a := range slices.Backward(c.record.Attachments) {
		changes := c.changes[a.IfName]
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
	return network.Selection{Name: a.Network, Namespace: a.Namespace, IfMAC: a.MAC, IPs: a.IPs}
}

// changes returns in what the selection is not what is attached on an interface that, if it were
// made anew, would have the name ifName. Without a result that can be read, as the predecessor
// recorded none, nothing is known that could have changed.
func changes(a ledger.Attachment, s network.Selection, ifName string, namespaces []string) []Change {
	result, err := cniconf.ParseResult(a.Result)
	if err != nil {
		return nil
	}
	var all []Change
	if !slices.Contains(namespaces, a.Namespace) {
		all = append(all, Namespace)
	}
	if a.IfName != ifName {
		all = append(all, InterfaceName)
	}
	// A MAC address that the ADD requested is that of the interface, even if the result has none.
	if !a.SameMAC(s.IfMAC, cmp.Or(a.MAC, a.ResultMAC(result))) {
		all = append(all, MACAddress)
	}
	if !a.SameIPs(s.IPs, result) {
		all = append(all, Addresses)
	}
	return all
}
