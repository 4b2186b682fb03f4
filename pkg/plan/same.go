package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// ResultMAC returns the MAC address that the result of the attachment's ADD has of its interface,
// in lower case; empty if it has none.
func (a Attachment) ResultMAC(result *cniconf.Result) network.MAC {
	for _, i := range result.Interfaces {
		if i.Name == a.IfName && i.Sandbox != "" {
			return network.MAC(strings.ToLower(i.Mac))
		}
	}
	return ""
}

// SameMAC reports whether the attachment has the MAC address that is requested now, or, where none
// is, whether its ADD requested none either. has is the address of the interface; where that is
// empty, because nothing tells it, only what the ADD requested counts.
func (a Attachment) SameMAC(requested, has network.MAC) bool {
	if requested == "" {
		return a.MAC == ""
	}
	return requested == cmp.Or(has, a.MAC)
}

// SameIPs reports whether the attachment has the addresses that are requested now, and its ADD,
// which had that result, requested no others. What the ADD requested, it has verified: a recorded
// result from before version 0.3.0 of the CNI specification does not have every address.
func (a Attachment) SameIPs(requested []string, result *cniconf.Result) bool {
	before := a.IPs
	a.IPs = slices.DeleteFunc(slices.Clone(requested), func(ip string) bool {
		return slices.ContainsFunc(before, func(verified string) bool { return implies(verified, ip) })
	})
	if a.VerifyIPs(result) != nil {
		return false
	}
	still := map[netip.Addr]bool{}
	for _, ip := range requested {
		addr, _, _ := network.ParseIP(ip)
		still[addr] = true
	}
	return !slices.ContainsFunc(before, func(ip string) bool {
		addr, _, err := network.ParseIP(ip)
		return err != nil || !still[addr]
	})
}

// implies reports whether an interface that has the address verified, as it was requested, has the
// address ip too, which may leave out the prefix length.
func implies(verified, ip string) bool {
	had, hadLength, hadErr := network.ParseIP(verified)
	addr, length, err := network.ParseIP(ip)
	return hadErr == nil && err == nil && had == addr && (length < 0 || length == hadLength)
}

// VerifyIPs returns an error if the result of the attachment's ADD does not have an address that
// was requested, or has it with another prefix length.
func (a Attachment) VerifyIPs(result *cniconf.Result) error {
	given := map[netip.Addr][]int{} // the prefix lengths
	for _, ip := range result.IPs {
		if addr, prefixLength, err := network.ParseIP(ip.Address.String()); err == nil {
			given[addr] = append(given[addr], prefixLength)
		}
	}
	for _, ip := range a.IPs {
		addr, prefixLength, err := network.ParseIP(ip)
		if err != nil {
			return fmt.Errorf("ips: %w", err)
		}
		switch got := given[addr]; {
		case got == nil:
			return fmt.Errorf("the delegate %s did not give %s the address %s that the Pod asks for: "+
				"its configuration must declare the capability \"ips\", and its IPAM plugin must honor that",
				a.Config.Name, a.IfName, ip)
		case prefixLength >= 0 && !slices.Contains(got, prefixLength):
			return fmt.Errorf("the delegate %s gave %s the address %s/%d, and not %s as the Pod asks for: "+
				"the prefix length must be that of the network's configuration, or left out",
				a.Config.Name, a.IfName, addr, got[0], ip)
		}
	}
	return nil
}
