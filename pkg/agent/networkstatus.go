package agent

import (
	"cmp"
	"encoding/json"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
	nettypes "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
)

// A networkStatus is what the annotation network-status should say of a Pod.
type networkStatus struct {
	// entries are those of the interfaces that are ready, the default network's first.
	entries []statusEntry
	// interfaces has every interface that the ledger knows of the Pod, whether it is ready or not.
	interfaces map[string]bool
}

// A statusEntry is one element of the annotation (NPWG standard, section 5.3).
type statusEntry struct {
	nettypes.NetworkStatus
	// DeviceInfo takes the place of the embedded one, which would lose the keys that it lacks.
	DeviceInfo json.RawMessage `json:"device-info,omitempty"`
	// DefaultRoute are the gateways of the Pod's default route, if the Pod asks for it to be here.
	DefaultRoute []string `json:"default-route,omitempty"`
	// Writer is kactus in the entries that kactus wrote. A later agent knows by it which ones to
	// remove once the ledger has forgotten their interfaces.
	Writer string `json:"com.kaloom.writer,omitempty"`
}

// statusWriter is the Writer of kactus's entries.
const statusWriter = "kactus"

// newNetworkStatus returns the status of the Pod of a record, whose interfaces kernel has.
func newNetworkStatus(record ledger.Record, kernel []netns.Interface) *networkStatus {
	s := &networkStatus{interfaces: map[string]bool{}}
	lost, moved := missing(record, kernel), movedFamilies(record)
	for _, a := range defaultFirst(record) {
		result, err := cniconf.ParseResult(a.Result)
		if err != nil { // that of the predecessor, or of an ADD that has not ended
			result = &cniconf.Result{}
		}
		entries := statusEntries(a, result, kernel)
		for i := range entries {
			s.interfaces[entries[i].Interface] = true
			entries[i].Gateway = gateways(a, result, moved)
		}
		if a.HalfMade() || slices.Contains(lost, a.IfName) {
			continue
		}
		if record.IfName == a.IfName {
			entries[defaultEntry(result, a.IfName)].Default = true
		}
		s.entries = append(s.entries, entries...)
	}
	return s
}

// defaultFirst returns the attachments in the record's order, but for the default network's, which
// comes first.
func defaultFirst(record ledger.Record) []ledger.Attachment {
	rank := func(a ledger.Attachment) int {
		if a.IfName == record.IfName {
			return 0
		}
		return 1
	}
	return slices.SortedStableFunc(slices.Values(record.Attachments), func(a, b ledger.Attachment) int {
		return cmp.Compare(rank(a), rank(b))
	})
}

// statusEntries returns the entries of an attachment, without gateways: one for each interface that
// its result has in the Pod, and one if the result has none.
func statusEntries(a ledger.Attachment, result *cniconf.Result, kernel []netns.Interface) []statusEntry {
	name := a.Network
	if a.Namespace != "" {
		name = a.Namespace + "/" + name
	}
	positions := inPod(result, a.IfName)
	var entries []statusEntry
	for _, position := range positions {
		i := cniconf.Interface{Name: a.IfName}
		if position >= 0 {
			i = *result.Interfaces[position]
		}
		entry := statusEntry{DeviceInfo: a.DeviceInfo, DefaultRoute: texts(a.DefaultRoute), Writer: statusWriter}
		entry.Name, entry.Interface, entry.DNS = name, i.Name, nettypes.DNS(result.DNS)
		entry.Mac, entry.Mtu = strings.ToLower(i.Mac), i.Mtu
		if i.Name == a.IfName && a.MAC != "" { // which was enforced
			entry.Mac = string(a.MAC)
		}
		if k := slices.IndexFunc(kernel, func(k netns.Interface) bool { return k.Name == i.Name }); k >= 0 {
			entry.Mac, entry.Mtu = cmp.Or(entry.Mac, string(kernel[k].MAC)), cmp.Or(entry.Mtu, kernel[k].MTU)
		}
		entries = append(entries, entry)
	}
	for _, ip := range result.IPs {
		owner := len(entries) - 1
		if ip.Interface != nil && *ip.Interface >= 0 {
			owner = slices.Index(positions, *ip.Interface)
		}
		if owner >= 0 { // else the address is one of an interface on the node
			entries[owner].IPs = append(entries[owner].IPs, ip.Address.IP.String())
		}
	}
	return entries
}

// inPod returns the positions of the interfaces in the Pod among those of the result. If there are
// none, as before version 0.3.0 of the CNI specification, or in the result of a plugin that made
// none, it is one position: that of the interface of that name, or -1.
func inPod(result *cniconf.Result, ifName string) []int {
	var positions []int
	for i, each := range result.Interfaces {
		if each.Sandbox != "" {
			positions = append(positions, i)
		}
	}
	if positions == nil {
		isIt := func(i *cniconf.Interface) bool { return i.Name == ifName }
		positions = []int{slices.IndexFunc(result.Interfaces, isIt)}
	}
	return positions
}

// defaultEntry returns which entry of the default network is the default: that of the first
// interface whose address has a gateway, or else the first.
func defaultEntry(result *cniconf.Result, ifName string) int {
	positions := inPod(result, ifName)
	for _, ip := range result.IPs {
		if ip.Gateway == nil || ip.Interface == nil {
			continue
		}
		if i := slices.Index(positions, *ip.Interface); i >= 0 {
			return i
		}
	}
	return 0
}

// gateways returns the gateways of the attachment's default routes. Those that a selection's
// default-route has taken the place of do not count: moved tells for which families there is one,
// for IPv4 with true.
func gateways(a ledger.Attachment, result *cniconf.Result, moved map[bool]bool) []string {
	all := slices.Clone(a.DefaultRoute)
	for _, gateway := range defaultGateways(result) {
		if !moved[gateway.Is4()] {
			all = append(all, gateway)
		}
	}
	return texts(all)
}

// defaultGateways returns the gateways of the result's default routes. A route without one has that
// of the addresses of its family (CNI specification, section 5).
func defaultGateways(result *cniconf.Result) []netip.Addr {
	var all []netip.Addr
	add := func(ip net.IP) {
		addr, ok := netip.AddrFromSlice(ip)
		if addr = addr.Unmap(); ok && !slices.Contains(all, addr) {
			all = append(all, addr)
		}
	}
	for _, route := range result.Routes {
		if !isDefaultRoute(route) {
			continue
		}
		if route.GW != nil {
			add(route.GW)
			continue
		}
		for _, ip := range result.IPs {
			if _, bits := route.Dst.Mask.Size(); (ip.Address.IP.To4() != nil) == (bits == 8*net.IPv4len) {
				add(ip.Gateway)
			}
		}
	}
	return all
}

// isDefaultRoute reports whether the route leads to everything, in the table that is asked for all
// of the Pod's packets.
func isDefaultRoute(route *types.Route) bool {
	ones, _ := route.Dst.Mask.Size()
	return ones == 0 && route.Dst.IP.IsUnspecified() &&
		(route.Table == nil || *route.Table == unix.RT_TABLE_MAIN || *route.Table == unix.RT_TABLE_UNSPEC)
}

// movedFamilies returns for which families of addresses an attachment has the Pod's default route,
// because the Pod asks for that: true for IPv4.
func movedFamilies(record ledger.Record) map[bool]bool {
	moved := map[bool]bool{}
	for _, a := range record.Attachments {
		if a.State != ledger.Attached {
			continue
		}
		for _, gateway := range a.DefaultRoute {
			moved[gateway.Is4()] = true
		}
	}
	return moved
}

func texts(addresses []netip.Addr) []string {
	var all []string
	for _, each := range addresses {
		all = append(all, each.String())
	}
	return all
}
