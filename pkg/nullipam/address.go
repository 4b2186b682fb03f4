package nullipam

import (
	"crypto/sha256"
	"net"
	"slices"
	"strings"

	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
)

// gateway is the address of the other end of an interface that the main plugin has yet to make.
// Other interfaces of the node can have the same, as it is a link-local one.
const gateway = "fe80::1"

// formAddress returns a link-local address for the interface: the one that the kernel forms from
// an Ethernet address, where the kernel does so.
func formAddress(link netlink.Link, at attachment, network string) net.IPNet {
	mac := link.Attrs().HardwareAddr
	// All interfaces of an ipvlan have the MAC address of their master.
	if len(mac) != 6 || link.Type() == "ipvlan" {
		return deriveAddress(at, network)
	}
	return eui64(mac)
}

// eui64 returns the link-local address with the modified EUI-64 interface identifier of an Ethernet
// address (RFC 4291, appendix A).
func eui64(mac net.HardwareAddr) net.IPNet {
	const universal = 0x02
	return linkLocal([8]byte{mac[0] ^ universal, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]})
}

// deriveAddress returns a link-local address that is always the same for an attachment, and that no
// other attachment has.
func deriveAddress(at attachment, network string) net.IPNet {
	sum := sha256.Sum256([]byte(strings.Join([]string{network, at.containerID, at.ifName}, "\x00")))
	return linkLocal([8]byte(sum[:8]))
}

// linkLocal returns the link-local address with that interface identifier.
func linkLocal(identifier [8]byte) net.IPNet {
	ip := append(net.IP{0xfe, 0x80, 0, 0, 0, 0, 0, 0}, identifier[:]...)
	return net.IPNet{IP: ip, Mask: net.CIDRMask(64, 128)}
}

// linkLocalOf returns the IPv6 link-local addresses that a result has for the interface.
func linkLocalOf(result *cniconf.Result, ifName string) []net.IPNet {
	var all []net.IPNet
	for _, ip := range result.IPs {
		if isLinkLocal(ip.Address.IP) && isOn(ip, result.Interfaces, ifName) {
			all = append(all, ip.Address)
		}
	}
	return all
}

// isOn reports whether an address of a result is on the interface, or the result does not say where
// it is.
func isOn(ip *types100.IPConfig, interfaces []*types100.Interface, ifName string) bool {
	if ip.Interface == nil {
		return true
	}
	i := *ip.Interface
	return i >= 0 && i < len(interfaces) && interfaces[i].Name == ifName
}

func isLinkLocal(ip net.IP) bool { return ip.To4() == nil && ip.IsLinkLocalUnicast() }

// sameAddress reports whether both have the same address and prefix length.
func sameAddress(a, b net.IPNet) bool { return a.IP.Equal(b.IP) && slices.Equal(a.Mask, b.Mask) }
