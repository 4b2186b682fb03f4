package plan

import (
	"fmt"
	"slices"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// independentPlugins are the types of plugins that touch nothing but the interface that they make,
// and of IPAM plugins that touch nothing in the Pod. Every other plugin may share something with
// its siblings: routing tables, sysctls, iptables chains, interfaces.
var independentPlugins = []string{
	"bridge", "dummy", "host-device", "ipvlan", "macvlan", "ovs", "ptp", "sriov", "tap", "vlan",
	"host-local", "null", "static", "whereabouts",
}

// Schedule returns the order in which the delegates of the attachments run: one group after the
// other, and the attachments of a group at once. A group holds the indices of neighbors, so that
// the order of the attachments is kept. The first attachment is the Pod's default network, which
// runs alone. DELs run in the reverse order.
//
// Neighbors share a group only if neither can affect the other: every plugin is known to touch
// nothing but its own interface, or is one of parallelPlugins, a list that the operator extends;
// neither works on another interface of the Pod, or on one of the node that the other makes; and
// neither can add a route, because which of two routes wins must not be chance. The attachments of
// NetworkAttachmentDefinitions share none, as the NPWG standard has it (section 7.3), unless
// npwgParallel.
func Schedule(attachments []Attachment, parallelPlugins []string, npwgParallel bool) [][]int {
	var groups [][]int
	var group []cniconf.Traits // of the last group; empty if it takes no others
	for i, a := range attachments {
		traits := a.Config.Traits()
		alone := i == 0 || a.NPWG && !npwgParallel || !isIndependent(traits, parallelPlugins)
		conflicts := func(t cniconf.Traits) bool { return conflict(t, traits) }
		if alone || len(group) == 0 || slices.ContainsFunc(group, conflicts) {
			groups = append(groups, nil)
			group = nil
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], i)
		if !alone {
			group = append(group, traits)
		}
	}
	return groups
}

// isIndependent reports whether the attachment can run at once with others of its kind.
func isIndependent(t cniconf.Traits, parallelPlugins []string) bool {
	if t.UsesPodInterface || t.AddsRoutes {
		return false
	}
	return !slices.ContainsFunc(t.Types, func(pluginType string) bool {
		return !slices.Contains(independentPlugins, pluginType) && !slices.Contains(parallelPlugins, pluginType)
	})
}

// conflict reports whether one of the two works on an interface of the node that the other makes.
// Two that make the same one do not conflict: plugins such as bridge expect that.
func conflict(a, b cniconf.Traits) bool {
	uses := func(user, maker cniconf.Traits) bool {
		return slices.ContainsFunc(user.Uses, func(name string) bool {
			return slices.Contains(maker.Makes, name) && !slices.Contains(user.Makes, name)
		})
	}
	return uses(a, b) || uses(b, a)
}

// bottomUp returns the indices of the selections in their order, except that a network comes before
// those that its upperLayers name. It is an error if that is not possible.
func bottomUp(selections []network.Selection) ([]int, error) {
	var ordered, waiting []int
	for i := range selections {
		waiting = append(waiting, i)
	}
	for len(waiting) > 0 {
		next := slices.IndexFunc(waiting, func(i int) bool { return !isUpper(selections[i].Name, selections, waiting) })
		if next < 0 {
			return nil, fmt.Errorf("upperLayers: the network %s is, over others, an upper layer of itself",
				selections[waiting[0]].Name)
		}
		ordered = append(ordered, waiting[next])
		waiting = slices.Delete(waiting, next, next+1)
	}
	return ordered, nil
}

// isUpper reports whether one of the selections with these indices names the network as an upper
// layer.
func isUpper(name string, selections []network.Selection, indices []int) bool {
	return slices.ContainsFunc(indices, func(i int) bool { return slices.Contains(selections[i].UpperLayers, name) })
}
