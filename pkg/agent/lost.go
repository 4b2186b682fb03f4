package agent

import (
	"cmp"
	"slices"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// seen compares the interfaces of the record with those of the kernel.
func seen(record ledger.Record, kernel []netns.Interface) Seen {
	s := Seen{Missing: missing(record, kernel)}
	for _, i := range kernel {
		if _, known := record.Find(i.Name); !known {
			s.Foreign = append(s.Foreign, i.Name)
		}
	}
	return s
}

// missing returns the interfaces of the record that are not among those of the kernel. One that the
// Pod has renamed is not missing: it is known by its MAC address.
func missing(record ledger.Record, kernel []netns.Interface) []string {
	var names []string
	for _, a := range record.Attachments {
		if a.State != ledger.Attached || a.NoInterface {
			continue
		}
		mac := macOf(a)
		isIt := func(i netns.Interface) bool {
			return i.Name == a.IfName || mac != "" && i.MAC == mac && !borrowsMAC(i)
		}
		if !slices.ContainsFunc(kernel, isIt) {
			names = append(names, a.IfName)
		}
	}
	return names
}

// macOf returns the MAC address of an attachment's interface; empty if it is not known.
func macOf(a ledger.Attachment) network.MAC {
	result, err := cniconf.ParseResult(a.Result)
	if err != nil {
		return a.MAC
	}
	return cmp.Or(a.MAC, a.ResultMAC(result))
}

// borrowsMAC reports whether the interface is of a kind that takes the MAC address of another one
// that is below it, and may keep that when the other one is gone.
func borrowsMAC(i netns.Interface) bool {
	return slices.Contains([]string{"bridge", "bond", "vlan", "team", "ipvlan"}, i.Kind)
}
