package faults

import (
	"net"
	"regexp"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// The hot operations of a network that asks for the Pod's default route. No host has the gateway:
// it needs only be on the link.
var (
	routeAdd = operation{
		command: "ADD", conf: routeConf, call: routeCall,
		prepare: func(t *testing.T, tn *kactustest.Tenant) *kactustest.Pod {
			p := newAttachedPod(t, tn, "green")
			expectRouted(t, p, "eth0")
			return p
		},
		before: []string{"green"}, after: []string{"green", "data"},
	}
	routeDel = operation{
		command: "DEL", conf: routeConf, call: routeCall,
		prepare: func(t *testing.T, tn *kactustest.Tenant) *kactustest.Pod {
			p := newAttachedPod(t, tn, "green")
			routeAdd.run(t, p)
			expectRouted(t, p, kactustest.DataIfName)
			return p
		},
		before: []string{"green", "data"}, after: []string{"green"},
	}
)

func routeCall(p *kactustest.Pod) kactustest.Call { return p.Agent("data", "") }

func routeConf(p *kactustest.Pod) kactustest.NetConf {
	conf := p.AgentConf()
	conf.RuntimeConfig = map[string]any{netconf.SelectionCapability: map[string]any{
		"name": "data", "default-route": []string{"172.16.7.1"},
	}}
	return conf
}

// newRoutedTenant returns a tenant whose default network brings a default route, with the networks
// green and data.
func newRoutedTenant(t *testing.T) *kactustest.Tenant {
	t.Helper()
	tn := kactustest.NewTenant(t)
	tn.Conf.LogLevel = "error" // each line is a system call
	tn.Conf.Capabilities = map[string]bool{netconf.SelectionCapability: true}
	tn.SetDelegates(`{"masterPlugin": true, "isDefaultGateway": true, ` + tn.BridgeConfig(t, "eth") + `}`)
	tn.CreateBridgeNetworks(t, "green")
	subnet := regexp.MustCompile(`10\.[0-9]+\.[0-9]+\.0/24`)
	tn.CreateNetwork(t, "data", "{"+subnet.ReplaceAllString(tn.BridgeConfig(t, "data"), "172.16.7.0/24")+"}")
	return tn
}

// expectRouted fails the test unless the Pod has one default route, through that interface.
func expectRouted(t *testing.T, p *kactustest.Pod, ifName string) {
	t.Helper()
	index := p.Index(t, ifName)
	if routes := defaultRoutes(t, p); len(routes) != 1 || routes[0].LinkIndex != index {
		t.Errorf("the default routes are %v; want one through %s, link %d", routes, ifName, index)
	}
}

// expectSomeRoute fails the test unless the Pod has a default route.
func expectSomeRoute(t *testing.T, p *kactustest.Pod) {
	t.Helper()
	if len(defaultRoutes(t, p)) == 0 {
		t.Error("the Pod has no default route")
	}
}

func defaultRoutes(t *testing.T, p *kactustest.Pod) (routes []netlink.Route) {
	t.Helper()
	p.InNetns(t, func(links *netlink.Handle) {
		all := &netlink.Route{Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}}
		var err error
		routes, err = links.RouteListFiltered(netlink.FAMILY_V4, all, netlink.RT_FILTER_DST)
		kactustest.Must(t, err)
	})
	return routes
}
