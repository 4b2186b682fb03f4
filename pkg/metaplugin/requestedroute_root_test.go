//go:build root

package metaplugin

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
)

// What the kernel does with a packet for elsewhere, of each family.
const (
	byEth0  = "eth0 10.1.0.1, eth0 fd00:1::1"
	byGreen = greenIf + " 10.2.0.1, eth0 fd00:1::1"
)

// dualBridge returns the configuration of a bridge that is the gateway of 10.N.0.0/24 and
// fd00:N::/64; with keys of its own, such as that the default route is to lead through it.
func (n *testNode) dualBridge(subnet int, keys ...string) string {
	return n.dual("bridge", subnet, append(keys, fmt.Sprintf(`"bridge": "%s-%d"`, n.bridge, subnet),
		`"isGateway": true`)...)
}

func (n *testNode) dual(plugin string, subnet int, keys ...string) string {
	return fmt.Sprintf(`{"type": %q, %s "ipam": {"type": "host-local", "dataDir": %q,
		"ranges": [[{"subnet": "10.%[4]d.0.0/24"}], [{"subnet": "fd00:%[4]d::/64"}]]}}`,
		plugin, strings.Join(append(keys, ""), ", "), n.path("leases"), subnet)
}

const isDefaultGateway = `"isDefaultGateway": true`

// newRoutedNode returns a node whose default network brings a default route of each family, with
// the networks green and blue, and a request for the Pod.
func newRoutedNode(t *testing.T) (*testNode, Request) {
	t.Helper()
	n := newTestNode(t)
	for _, subnet := range []int{1, 2, 3} {
		name := fmt.Sprintf("%s-%d", n.bridge, subnet)
		t.Cleanup(func() {
			if link, err := netlink.LinkByName(name); err == nil {
				must(t, netlink.LinkDel(link))
			}
		})
	}
	n.api.networks["tenant/green"] = n.dualBridge(2)
	n.api.networks["tenant/blue"] = n.dualBridge(3)
	return n, n.request(n.conf(n.dualBridge(1, isDefaultGateway)))
}

// selectRoute makes the Pod ask for green with these gateways of its default route, and then for
// other networks.
func (n *testNode) selectRoute(gateways string, others ...string) {
	n.api.annotation = "[" + routeSelection(gateways)
	for _, name := range others {
		n.api.annotation += fmt.Sprintf(`, {"name": %q}`, name)
	}
	n.api.annotation += "]"
}

func routeSelection(gateways string) string {
	list, _ := json.Marshal(strings.Fields(gateways))
	return fmt.Sprintf(`{"name": "green", "default-route": %s}`, list)
}

func (n *testNode) hotRoute(req Request, gateways string) Request {
	n.Helper()
	return n.hotSelection(req.Conf, routeSelection(gateways))
}

// leaves returns the interface and the gateway by which the Pod reaches what is elsewhere.
func (n *testNode) leaves() string {
	n.Helper()
	var all []string
	n.netns.Do(n, func(links *netlink.Handle) {
		for _, to := range []string{"192.0.2.1", "2001:db8::1"} {
			routes, err := links.RouteGet(net.ParseIP(to))
			if err != nil {
				all = append(all, "nowhere")
				continue
			}
			link, err := links.LinkByIndex(routes[0].LinkIndex)
			must(n, err)
			all = append(all, link.Attrs().Name+" "+routes[0].Gw.String())
		}
	})
	return strings.Join(all, ", ")
}

func (n *testNode) expectLeaves(want string) {
	n.Helper()
	expectEqual(n.T, "way to elsewhere", n.leaves(), want)
}

// defaultRoutes returns the default routes of IPv4 and IPv6.
func (n *testNode) defaultRoutes() string {
	n.Helper()
	ns, err := netns.Open(n.netns.Path)
	must(n, err)
	defer ns.Close()
	var all []netns.Route
	for _, destination := range []string{"0.0.0.0/0", "::/0"} {
		routes, err := ns.DefaultRoutes(netip.MustParsePrefix(destination))
		must(n, err)
		all = append(all, routes...)
	}
	return fmt.Sprintf("%+v", all)
}

// routesIn returns the default routes of a result.
func routesIn(t *testing.T, result json.RawMessage) string {
	t.Helper()
	var all []string
	for _, r := range parsed(t, result).Routes {
		if bits, _ := r.Dst.Mask.Size(); bits == 0 {
			all = append(all, fmt.Sprintf("%s by %s", &r.Dst, r.GW))
		}
	}
	return strings.Join(all, ", ")
}

func TestDefaultRoute_MovesAtAdd(t *testing.T) {
	for name, c := range map[string]struct{ gateways, leaves, printed string }{
		"IPv4 alone": {"10.2.0.1", byGreen, "::/0 by fd00:1::1"},
		"IPv6 alone": {"fd00:2::1", "eth0 10.1.0.1, " + greenIf + " fd00:2::1", "0.0.0.0/0 by 10.1.0.1"},
		"both":       {"10.2.0.1 fd00:2::1", greenIf + " 10.2.0.1, " + greenIf + " fd00:2::1", ""},
		"none":       {"", byEth0, "0.0.0.0/0 by 10.1.0.1, ::/0 by fd00:1::1"},
	} {
		t.Run(name, func(t *testing.T) {
			n, req := newRoutedNode(t)
			n.selectRoute(c.gateways)
			log := n.logged(func() { req.Conf.PrevResult = n.add(req) })
			n.expectLeaves(c.leaves)
			expectEqual(t, "default routes that kactus prints", routesIn(t, req.Conf.PrevResult), c.printed)
			eth0, _ := n.record().Find("eth0")
			expectEqual(t, "default routes that are recorded of eth0", routesIn(t, eth0.Result),
				"0.0.0.0/0 by 10.1.0.1, ::/0 by fd00:1::1")
			if strings.Contains(log, "default route") {
				t.Errorf("a warning of what the Pod asks for: %s", log)
			}
			n.check(req)
			n.del(req)
			n.expectNothingLeft()
		})
	}
}

func TestDefaultRoute_OfTheDefaultNetwork(t *testing.T) {
	n, req := newRoutedNode(t)
	n.api.annotation = `[{"name": "green", "isPrimary": true, "default-route": ["10.2.0.1"]}, {"name": "blue"}]`
	n.api.networks["tenant/blue"] = n.dualBridge(3, isDefaultGateway)
	result := n.add(req)
	n.expectLeaves("eth0 10.2.0.1, " + blueIf + " fd00:3::1")
	expectEqual(t, "default routes that kactus prints", routesIn(t, result), "0.0.0.0/0 by 10.2.0.1")
	n.check(req)
}

// All delegates have made theirs before, whatever the order.
func TestDefaultRoute_PrecedesThoseOfDelegates(t *testing.T) {
	for name, c := range map[string]struct{ green, blue string }{
		"a later network":    {`"mtu": 1400`, isDefaultGateway},
		"the network itself": {isDefaultGateway, `"mtu": 1400`},
	} {
		t.Run(name, func(t *testing.T) {
			n, req := newRoutedNode(t)
			n.api.networks["tenant/green"] = n.dualBridge(2, c.green)
			n.api.networks["tenant/blue"] = n.dualBridge(3, c.blue)
			n.selectRoute("10.2.0.9 fd00:2::9", "blue")
			log := n.logged(func() { n.add(req) })
			n.expectLeaves(greenIf + " 10.2.0.9, " + greenIf + " fd00:2::9")
			if strings.Contains(log, "default route") {
				t.Errorf("the log is %s", log)
			}
			n.check(req)
			n.check(n.hotRequest(req.Conf, "green"))
			n.check(n.hotRequest(req.Conf, "blue"))
		})
	}
}

func TestDefaultRoute_MovesHotAndBack(t *testing.T) {
	n, req := newRoutedNode(t)
	n.add(req)
	before := n.defaultRoutes()
	hot := n.hotRoute(req, "10.2.0.1")
	n.run("a hot ADD moves it", func() {
		result := n.add(hot)
		n.expectLeaves(byGreen)
		expectEqual(n.T, "default routes that kactus prints", routesIn(n.T, result), "0.0.0.0/0 by 10.2.0.1")
		n.check(req)
		n.check(hot)
	})
	n.run("a repeated one changes nothing", func() {
		expectEqual(n.T, "default routes that kactus prints", routesIn(n.T, n.add(hot)), "0.0.0.0/0 by 10.2.0.1")
		n.expectLeaves(byGreen)
	})
	n.run("a hot DEL puts the old one back", func() {
		n.del(hot)
		expectEqual(n.T, "default routes", n.defaultRoutes(), before)
		n.check(req)
	})
	n.run("and so it does after the kernel has lost the interface", func() {
		n.add(hot)
		n.delInterface(greenIf)
		n.expectLeaves("nowhere, eth0 fd00:1::1")
		n.del(hot)
		expectEqual(n.T, "default routes", n.defaultRoutes(), before)
	})
}

func TestDefaultRoute_StaysWhenNetworksComeAndGo(t *testing.T) {
	n, req := newRoutedNode(t)
	n.api.networks["tenant/blue"] = withKey(n.bridgeConf(3), isDefaultGateway)
	n.selectRoute("10.2.0.1")
	n.add(req)
	blue := n.hotRequest(req.Conf, "blue")
	for range 2 {
		result := n.add(blue)
		n.expectLeaves(byGreen)
		expectEqual(t, "default routes that kactus prints", routesIn(t, result), "")
		expectEqual(t, "as it does again", routesIn(t, n.add(blue)), "")
		n.check(req)
		n.check(blue)
		green, _ := n.record().Find(greenIf)
		expectEqual(t, "routes to put back", len(green.PreviousRoutes), 2)
		n.del(blue)
		n.expectLeaves(byGreen)
	}
	n.run("what blue brought is there after the requested one", func() {
		n.add(blue)
		n.del(n.hotRequest(req.Conf, "green"))
		n.expectLeaves(blueIf + " 10.3.0.1, eth0 fd00:1::1")
		n.del(blue)
		n.expectLeaves(byEth0)
	})
}

func TestDefaultRoute_ForgetsWhatANetworkBroughtBefore(t *testing.T) {
	n, req := newRoutedNode(t)
	n.api.networks["tenant/blue"] = withKey(n.bridgeConf(3), isDefaultGateway)
	n.selectRoute("10.2.0.1")
	n.add(req)
	blue := n.hotRequest(req.Conf, "blue")
	n.add(blue)
	n.del(blue)
	n.api.networks["tenant/blue"] = n.bridgeConf(3)
	n.add(blue)
	n.del(n.hotRequest(req.Conf, "green"))
	n.expectLeaves(byEth0)
}

func TestDefaultRoute_LostInterfaceDoesNotFailOthers(t *testing.T) {
	n, req := newRoutedNode(t)
	n.selectRoute("10.2.0.1")
	n.add(req)
	n.delInterface(greenIf)
	n.add(n.hotRequest(req.Conf, "blue"))
	n.expectInterfaces("eth0", blueIf)
}

func TestDefaultRoute_SomebodyElseChangedItSince(t *testing.T) {
	n, req := newRoutedNode(t)
	n.selectRoute("10.2.0.1")
	n.add(req)
	links, all := n.netns.Links(t), &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}
	must(t, links.RouteReplace(&netlink.Route{
		LinkIndex: n.netns.Link(t, "eth0").Attrs().Index, Gw: net.IPv4(10, 1, 0, 9), Dst: all,
	}))
	theirs := n.defaultRoutes()
	n.checkFails(req, CodeCheck, "network green", greenIf, "10.2.0.1")
	n.run("a hot ADD leaves it", func() {
		n.add(n.hotRequest(req.Conf, "blue"))
		expectEqual(n.T, "default routes", n.defaultRoutes(), theirs)
	})
	n.run("a hot DEL leaves it", func() {
		n.del(n.hotRequest(req.Conf, "green"))
		expectEqual(n.T, "default routes", n.defaultRoutes(), theirs)
	})
}
