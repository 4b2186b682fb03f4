package plan

import (
	"net"
	"net/netip"
	"slices"

	"github.com/containernetworking/cni/pkg/types"
	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
)

// GatewaysByFamily returns the gateways of DefaultRoute: those of IPv4, and those of IPv6, each
// once. A family without any is left out.
func (a Attachment) GatewaysByFamily() [][]netip.Addr {
	var v4, v6 []netip.Addr
	for _, gateway := range a.DefaultRoute {
		family := &v6
		if gateway.Is4() {
			family = &v4
		}
		if !slices.Contains(*family, gateway) {
			*family = append(*family, gateway)
		}
	}
	return slices.DeleteFunc([][]netip.Addr{v4, v6}, func(family []netip.Addr) bool { return len(family) == 0 })
}

// WithoutDefaultRoutes returns the result of an ADD in the same Pod, without the default routes
// that a takes. The result itself stays as it is.
func (a Attachment) WithoutDefaultRoutes(result *cniconf.Result) *cniconf.Result {
	if len(a.DefaultRoute) == 0 {
		return result
	}
	changed := *result
	changed.Routes = slices.DeleteFunc(slices.Clone(result.Routes), a.takes)
	return &changed
}

// takes reports whether the route is a default route of the main table, of a family of
// DefaultRoute.
func (a Attachment) takes(r *types.Route) bool {
	if r.Table != nil && *r.Table != unix.RT_TABLE_MAIN && *r.Table != unix.RT_TABLE_UNSPEC {
		return false
	}
	bits, size := r.Dst.Mask.Size()
	return bits == 0 && slices.ContainsFunc(a.DefaultRoute, func(gateway netip.Addr) bool {
		return gateway.BitLen() == size
	})
}

// WithDefaultRoute returns the result of the attachment's own ADD with the default routes that it
// asks for in place of its delegate's.
func (a Attachment) WithDefaultRoute(result *cniconf.Result) *cniconf.Result {
	changed := a.WithoutDefaultRoutes(result)
	for _, gateways := range a.GatewaysByFamily() {
		for _, gateway := range gateways {
			size := gateway.BitLen()
			dst := net.IPNet{IP: make(net.IP, size/8), Mask: net.CIDRMask(0, size)}
			changed.Routes = append(changed.Routes, &types.Route{Dst: dst, GW: gateway.AsSlice()})
		}
	}
	return changed
}
