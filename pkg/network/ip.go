package network

import (
	"fmt"
	"net/netip"
)

// ParseIP parses an IP address that a Pod asks for: in CIDR notation, or without a prefix length,
// in which case prefixLength is -1 and the network's own applies. An IPv4 address that is mapped to
// IPv6 becomes the IPv4 address.
func ParseIP(s string) (addr netip.Addr, prefixLength int, err error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return addr.Unmap(), -1, nil
	}
	prefix, err := netip.ParsePrefix(s)
	if err == nil && prefix.Addr().Is4In6() {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	if err != nil || !prefix.IsValid() {
		return netip.Addr{}, 0, fmt.Errorf("%.64q must be an address, such as 192.168.42.10/24 or 192.168.42.10", s)
	}
	return prefix.Addr(), prefix.Bits(), nil
}
