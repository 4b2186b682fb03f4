package metaplugin

import (
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

// warnDefaultRoute logs the routes of a secondary network that take the Pod's way to everything
// that no other route leads to, such as Services, from the default network.
func (p *Plugin) warnDefaultRoute(req Request, a ledger.Attachment, result *cniconf.Result) {
	if a.IfName == req.defaultIfName() {
		return
	}
	for _, family := range []string{"0.0.0.0/0", "::/0"} {
		if routes := covering(netip.MustParsePrefix(family), mainRoutes(result)); routes != nil {
			p.Log.Warn("a secondary network brings a default route: traffic to Services may leave through it",
				"network", a.Network, "interface", a.IfName, "route", strings.Join(routes, " "))
		}
	}
}

// mainRoutes returns the destinations of the result's routes, but for those of a table of their
// own.
func mainRoutes(result *cniconf.Result) []netip.Prefix {
	var all []netip.Prefix
	for _, r := range result.Routes {
		addr, ok := netip.AddrFromSlice(r.Dst.IP)
		isMain := r.Table == nil || *r.Table == unix.RT_TABLE_MAIN || *r.Table == unix.RT_TABLE_UNSPEC
		if !ok || !isMain {
			continue
		}
		bits, size := r.Dst.Mask.Size()
		if addr.Is4In6() && size == 32 {
			addr = addr.Unmap()
		}
		if prefix, err := addr.Prefix(bits); err == nil {
			all = append(all, prefix)
		}
	}
	return all
}

// covering returns the routes that lead to all of the prefix; nil if some of it has no route. What
// wants to be preferred to a default route without replacing it often writes it as two halves.
func covering(prefix netip.Prefix, routes []netip.Prefix) []string {
	if slices.Contains(routes, prefix) {
		return []string{prefix.String()}
	}
	isInside := func(r netip.Prefix) bool { return r.Bits() > prefix.Bits() && prefix.Contains(r.Addr()) }
	if !slices.ContainsFunc(routes, isInside) {
		return nil
	}
	low, high := halves(prefix)
	inLow, inHigh := covering(low, routes), covering(high, routes)
	if inLow == nil || inHigh == nil {
		return nil
	}
	return append(inLow, inHigh...)
}

func halves(prefix netip.Prefix) (low, high netip.Prefix) {
	bits := prefix.Bits()
	addr := prefix.Addr().AsSlice()
	low = netip.PrefixFrom(prefix.Addr(), bits+1)
	addr[bits/8] |= 0x80 >> (bits % 8)
	upper, _ := netip.AddrFromSlice(addr)
	return low, netip.PrefixFrom(upper, bits+1)
}
