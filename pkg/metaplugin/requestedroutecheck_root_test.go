//go:build root

package metaplugin

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

// Each delegate's CHECK, as CRI-O runs it after the ADD, gets the result as it can be found.
func TestCheck_PassesWithARequestedDefaultRoute(t *testing.T) {
	n := newTestNode(t)
	must(t, netlink.LinkSetUp(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: n.bridge}}))
	ptp := n.hostLocal(1)
	ptp = strings.TrimSuffix(ptp, "}") + `, "routes": [{"dst": "0.0.0.0/0"}]}`
	for name, green := range map[string]string{
		"macvlan": fmt.Sprintf(`{"type": "macvlan", "master": %q, "ipam": %s}`, n.bridge, n.hostLocal(2)),
		"bridge":  withKey(n.bridgeConf(2), isDefaultGateway),
		"ptp":     n.ptpConf(2),
	} {
		n.run(name, func() {
			n.api.networks["tenant/green"] = green
			n.selectRoute("10.2.0.1")
			req := n.request(n.conf(fmt.Sprintf(`{"type": "ptp", "ipam": %s}`, ptp)))
			req.Conf.PrevResult = n.add(req)
			expectEqual(n.T, "IPv4", strings.HasPrefix(n.leaves(), greenIf+" 10.2.0.1"), true)
			n.check(req)
			n.run("and not without it", func() {
				must(n, n.netns.Links(n).RouteDel(&netlink.Route{
					LinkIndex: n.netns.Link(n, greenIf).Attrs().Index, Gw: net.IPv4(10, 2, 0, 1),
				}))
				n.checkFails(req, CodeCheck, "network green", "10.2.0.1", greenIf)
			})
			n.del(req)
			n.expectNothingLeft()
		})
	}
}

// A delegate's default route takes the place of the requested one until kactus sets that again.
func TestCheck_PassesWhileAHotNetworkBringsARoute(t *testing.T) {
	n, req := newRoutedNode(t)
	n.selectRoute("10.2.0.1")
	req.Conf.PrevResult = n.add(req)
	n.api.networks["tenant/blue"] = withKey(n.bridgeConf(3), isDefaultGateway)
	n.script("bridge", pluginDir+`/bridge || exit
		[ $CNI_COMMAND != ADD ] || { : >running; while [ ! -e go ]; do sleep 0.01; done; }`)
	done := make(chan error)
	go func() {
		_, err := n.plugin.Add(context.Background(), n.hotRequest(req.Conf, "blue"))
		done <- err
	}()
	awaitFile(t, n.path("running"))
	n.expectLeaves(blueIf + " 10.3.0.1, eth0 fd00:1::1")
	n.check(req)
	must(t, os.WriteFile(n.path("go"), nil, 0o600))
	must(t, <-done)
	n.expectLeaves(byGreen)
	n.check(req)
}

func TestCheck_PassesTheRoutesThatAreThere(t *testing.T) {
	n, req := newRoutedNode(t)
	n.script("bridge", `[ $CNI_COMMAND = CHECK ] && cat >stdin.$CNI_IFNAME || exec `+pluginDir+`/bridge`)
	n.api.networks["tenant/green"] = n.dualBridge(2, isDefaultGateway)
	n.selectRoute("10.2.0.9 fd00:2::1")
	req.Conf.PrevResult = n.add(req)
	n.check(req)
	for _, ifName := range []string{"eth0", greenIf} {
		var conf struct{ PrevResult json.RawMessage }
		must(t, json.Unmarshal([]byte(n.read("stdin."+ifName)), &conf))
		expectEqual(t, "default routes of "+ifName+" for its CHECK", routesIn(t, conf.PrevResult), "")
		a, _ := n.record().Find(ifName)
		expectEqual(t, "state", a.State, ledger.Attached)
	}
}
