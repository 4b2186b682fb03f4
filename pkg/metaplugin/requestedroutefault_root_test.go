//go:build root

package metaplugin

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
)

func TestDefaultRoute_CannotBeMoved(t *testing.T) {
	t.Run("an ADD is rolled back", func(t *testing.T) {
		n, req := newRoutedNode(t)
		n.selectRoute("10.9.0.1", "blue")
		n.addFails(req, CodeNotHonored, "network green", "10.9.0.1", greenIf, "not on the link")
		n.expectNothingLeft()
	})
	t.Run("a hot ADD is rolled back, and the old route is there", func(t *testing.T) {
		n, req := newRoutedNode(t)
		n.add(req)
		before := n.defaultRoutes()
		n.addFails(n.hotRoute(req, "10.2.0.1 fd00:9::1"), CodeNotHonored, "network green", "fd00:9::1", greenIf)
		expectEqual(t, "default routes", n.defaultRoutes(), before)
		n.expectInterfaces("eth0")
		n.check(req)
	})
	t.Run("a delegate made no interface", func(t *testing.T) {
		n, req := newRoutedNode(t)
		n.script("nothing", emptyResult)
		n.api.networks["tenant/green"] = `{"type": "nothing"}`
		n.selectRoute("10.2.0.1")
		n.addFails(req, CodeNotHonored, "network green", greenIf)
	})
	t.Run("another network has it", func(t *testing.T) {
		n, req := newRoutedNode(t)
		n.selectRoute("10.2.0.1")
		n.add(req)
		blue := n.hotSelection(req.Conf, `{"name": "blue", "default-route": ["10.3.0.1"]}`)
		n.addFails(blue, CodeAttached, "network blue", "default-route", "network green", greenIf)
		n.expectLeaves(byGreen)
		n.expectInterfaces("eth0", greenIf)
	})
	t.Run("what was there cannot be recorded", func(t *testing.T) {
		n, req := newRoutedNode(t)
		n.add(req)
		before := n.defaultRoutes()
		n.store.fail("MarkRouteChange")
		open := n.plugin.OpenNetns
		n.plugin.OpenNetns = func(path string) (Netns, error) {
			ns, err := open(path)
			return stoppedNetns{ns, func() bool { t.Error("the default route was set"); return false }}, err
		}
		n.addFails(n.hotRoute(req, "10.2.0.1"), types.ErrIOFailure, errDisk.Error())
		expectEqual(t, "default routes", n.defaultRoutes(), before)
	})
}

// A network that brings a default route must not take the requested one for good.
func TestDefaultRoute_LaterNetworkFailsWithIt(t *testing.T) {
	n, req := newRoutedNode(t)
	n.selectRoute("10.2.0.1")
	n.add(req)
	n.api.networks["tenant/blue"] = n.dualBridge(3, isDefaultGateway)
	open := n.plugin.OpenNetns
	n.plugin.OpenNetns = func(path string) (Netns, error) {
		ns, err := open(path)
		return refusedRoute{ns}, err
	}
	n.addFails(n.hotRequest(req.Conf, "blue"), CodeNotHonored, errRefused.Error())
	n.expectLeaves(byGreen)
	n.expectInterfaces("eth0", greenIf)
}

type refusedRoute struct{ Netns }

func (refusedRoute) SetDefaultRoute(string, []netip.Addr) error { return errRefused }

// killedAtRoute does what killed does for a default route.
func (n *testNode) killedAtRoute(req Request, afterSet bool) {
	n.Helper()
	a := n.killed(req, afterSet)
	expectEqual(n.T, "state and number of previous routes", fmt.Sprint(a.State, len(a.PreviousRoutes)), "planned1")
}

func TestDefaultRoute_AfterAKill(t *testing.T) {
	for name, afterSet := range map[string]bool{"before the change": false, "after the change": true} {
		t.Run(name, func(t *testing.T) {
			n, req := newRoutedNode(t)
			n.run("a DEL of the Pod removes all", func() {
				n.selectRoute("10.2.0.1")
				n.killedAtRoute(req, afterSet)
				n.del(req)
				n.expectNothingLeft()
			})
			n.api.annotation = ""
			n.add(req)
			before := n.defaultRoutes()
			hot := n.hotRoute(req, "10.2.0.1")
			n.run("a hot DEL puts the old one back", func() {
				n.killedAtRoute(hot, afterSet)
				n.del(hot)
				expectEqual(n.T, "default routes", n.defaultRoutes(), before)
			})
			n.run("a repeated hot ADD moves it", func() {
				n.killedAtRoute(hot, afterSet)
				n.add(hot)
				n.expectLeaves(byGreen)
				n.del(hot)
				expectEqual(n.T, "default routes", n.defaultRoutes(), before)
			})
			n.check(req)
		})
	}
}

// A hot DEL that is killed after it has put the old routes back, or fails then, is run again.
func TestDefaultRoute_PutBackBeforeADelThatFails(t *testing.T) {
	n, req := newRoutedNode(t)
	n.add(req)
	before := n.defaultRoutes()
	hot := n.hotRoute(req, "10.2.0.1")
	n.add(hot)
	n.script("bridge", `[ $CNI_COMMAND = DEL ] && exit 1; exec `+pluginDir+`/bridge`)
	for range 2 {
		n.delFails(hot, CodeDelegate, "network green")
		expectEqual(t, "default routes", n.defaultRoutes(), before)
	}
	n.checkWarns(req, "may be half torn down")
	n.run("a hot ADD of another network leaves them", func() {
		n.add(n.hotRequest(req.Conf, "blue"))
		expectEqual(n.T, "default routes", n.defaultRoutes(), before)
	})
	must(t, os.Remove(n.path("plugins/bridge")))
	n.del(hot)
	n.check(req)
	n.expectLeaves(byEth0)
}

// The default routes must not go with the interface as long as there is hope.
func TestDefaultRoute_CannotBePutBack(t *testing.T) {
	n, req := newRoutedNode(t)
	n.add(req)
	hot := n.hotRoute(req, "10.2.0.1")
	n.add(hot)
	open := n.plugin.OpenNetns
	n.plugin.OpenNetns = func(path string) (Netns, error) {
		ns, err := open(path)
		return unrestorable{ns}, err
	}
	n.delFails(hot, types.ErrIOFailure, "network green", greenIf, errRefused.Error())
	n.expectLeaves(byGreen)
	n.plugin.OpenNetns = open
	n.del(hot)
	n.expectLeaves(byEth0)
}

type unrestorable struct{ Netns }

func (unrestorable) PutBackDefaultRoutes(string, []netns.Route) ([]netns.Route, error) {
	return nil, errRefused
}

// What was there before kactus comes back with a DEL too, if the namespace outlives it.
func TestDefaultRoute_DelInANamespaceThatStays(t *testing.T) {
	n, req := newRoutedNode(t)
	links := n.netns.Links(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "own0"
	must(t, links.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
	own := n.netns.Link(t, "own0")
	must(t, links.LinkSetUp(own))
	addr, err := netlink.ParseAddr("10.8.0.5/24")
	must(t, err)
	must(t, links.AddrAdd(own, addr))
	must(t, links.RouteAdd(&netlink.Route{LinkIndex: own.Attrs().Index, Gw: net.IPv4(10, 8, 0, 1), Priority: 50}))
	before := n.defaultRoutes()
	n.selectRoute("10.2.0.1")
	n.add(req)
	n.expectLeaves(byGreen)
	n.del(req)
	expectEqual(t, "default routes", n.defaultRoutes(), before)
}
