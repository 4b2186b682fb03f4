package agent

import (
	"slices"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// A match is a selection, and the attachment that belongs to it, if there is one.
type match struct {
	// selection has the name of its interface, where that is not the device name.
	selection  network.Selection
	attachment ledger.Attachment
	attached   bool
}

// match finds the attachments of the selections, none of which belongs to two. An NPWG selection
// without an interface keeps the number that its attachment has, whatever its position is by now;
// one that is not attached gets the lowest number that is free.
func (c *comparison) match(selections []network.Selection) []match {
	matches := make([]match, len(selections))
	for i, s := range selections {
		matches[i].selection = s
	}
	c.claimEach(matches, func(s network.Selection, a ledger.Attachment) bool {
		return s.IsPrimary && a.IfName == c.record.IfName
	})
	c.claimEach(matches, func(s network.Selection, a ledger.Attachment) bool {
		return !isUnnamed(s) && !s.IsPrimary && a.IfName == s.InterfaceName()
	})
	c.claimEach(matches, func(s network.Selection, a ledger.Attachment) bool {
		return a.Namespace != "" && s.IfName == "" && !s.NPWG && !s.IsPrimary
	})
	c.claimEach(matches, func(s network.Selection, a ledger.Attachment) bool {
		return isUnnamed(s) && network.IsNumbered(a.IfName) && len(c.changes(a, s, a.IfName)) == 0
	})
	c.claimEach(matches, func(s network.Selection, a ledger.Attachment) bool {
		return isUnnamed(s) && network.IsNumbered(a.IfName)
	})
	// What is attached is no default network, and stays as it is when it is to be one from now on.
	c.claimEach(matches, func(s network.Selection, a ledger.Attachment) bool {
		return a.Namespace != "" && s.IsPrimary && !s.NPWG
	})
	c.number(matches)
	return matches
}

// isUnnamed reports whether the selection leaves the name of its interface to the agent.
func isUnnamed(s network.Selection) bool { return s.NPWG && s.IfName == "" && !s.IsPrimary }

// claimEach gives each selection that has no attachment yet the first one to its network that
// nobody has claimed and that belongs to it.
func (c *comparison) claimEach(matches []match, belongs func(s network.Selection, a ledger.Attachment) bool) {
	for i := range matches {
		m := &matches[i]
		if m.attached {
			continue
		}
		for _, a := range c.record.Attachments {
			if !c.wanted[a.IfName] && isOf(a, m.selection) && belongs(m.selection, a) {
				m.attachment, m.attached = a, true
				c.wanted[a.IfName] = true
				break
			}
		}
	}
}

// isOf reports whether the attachment is to the network of the selection, in whatever namespace.
func isOf(a ledger.Attachment, s network.Selection) bool {
	return a.Network == s.Name && a.NPWG == s.NPWG
}

// number names the interfaces of the selections that leave that to the agent.
func (c *comparison) number(matches []match) {
	taken := append([]string{c.record.IfName}, c.seen.Foreign...)
	for _, a := range c.record.Attachments {
		if c.wanted[a.IfName] || c.isOff(a) {
			taken = append(taken, a.IfName)
		}
	}
	for _, a := range c.always {
		taken = append(taken, a.IfName)
	}
	for _, m := range matches {
		if m.selection.IfName != "" {
			taken = append(taken, m.selection.IfName)
		}
	}
	for i := range matches {
		m := &matches[i]
		switch {
		case !isUnnamed(m.selection):
		case m.attached:
			m.selection.IfName = m.attachment.IfName
		default:
			m.selection.IfName = lowestFree(taken)
			taken = append(taken, m.selection.IfName)
		}
	}
}

func lowestFree(taken []string) string {
	for number := 1; ; number++ {
		if name := network.NumberedName(number); !slices.Contains(taken, name) {
			return name
		}
	}
}
