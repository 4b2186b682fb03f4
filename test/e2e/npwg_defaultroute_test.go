package e2e

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// createGatewayNAD creates a NetworkAttachmentDefinition whose bridge has an address, which it
// returns, and to which the Pod's default route leads if isDefault.
func createGatewayNAD(t *testing.T, tn *kactustest.Tenant, name string, isDefault bool) (gateway string) {
	t.Helper()
	config := fmt.Sprintf(`{%s, "isGateway": true, "isDefaultGateway": %t}`, tn.BridgeConfig(t, name), isDefault)
	tn.CreateNAD(t, name, config)
	var parsed struct {
		IPAM struct {
			Ranges [][]struct{ Subnet string }
		}
	}
	kactustest.Must(t, json.Unmarshal([]byte(config), &parsed))
	subnet, err := netip.ParsePrefix(parsed.IPAM.Ranges[0][0].Subnet)
	kactustest.Must(t, err)
	return subnet.Addr().Next().String()
}

// defaultGateway returns "GATEWAY INTERFACE" of the Pod's IPv4 default routes.
func defaultGateway(t *testing.T, p *kactustest.Pod) string {
	t.Helper()
	text := ""
	p.InNetns(t, func(h *netlink.Handle) {
		routes, err := h.RouteList(nil, netlink.FAMILY_V4)
		kactustest.Must(t, err)
		for _, r := range routes {
			if r.Gw == nil {
				continue
			}
			link, err := h.LinkByIndex(r.LinkIndex)
			kactustest.Must(t, err)
			text += fmt.Sprintf("%s %s;", r.Gw, link.Attrs().Name)
		}
	})
	return text
}

func TestNPWG_DefaultRouteOfOneOfTwoPods(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	first := createGatewayNAD(t, tn, "default", true)
	second := createGatewayNAD(t, tn, "net-a", false)
	newPod := func(networks string) *kactustest.Pod {
		p := tn.NewAnnotatedPod(t, map[string]string{
			kactustest.NPWGAnnotation: networks, kactustest.DefaultNetworkAnnotation: tn.Namespace + "/default",
		})
		p.Add(t)
		return p
	}
	const asks = `[{"name": "net-a", "default-route": [%q]}]`
	one, other := newPod(fmt.Sprintf(asks, second)), newPod("net-a")
	viaFirst, viaSecond := first+" eth0;", second+" net1;"
	if got, gotOther := defaultGateway(t, one), defaultGateway(t, other); got != viaSecond || gotOther != viaFirst {
		t.Errorf("got %s and %s, want %s and %s", got, gotOther, viaSecond, viaFirst)
	}
	kactustest.Must(t, one.CheckWith(t, one.Conf, one.Runtime()))

	tn.StartNodeAgent(t)
	t.Run("the agent tells of it", func(t *testing.T) {
		status := one.EventuallyNetworkStatus(t, "eth0", "net1")
		if len(status[0].Gateway) != 0 || len(status[1].Gateway) != 1 || status[1].Gateway[0] != second {
			t.Errorf("got %+v", status)
		}
	})
	t.Run("the agent moves it, and puts it back", func(t *testing.T) {
		other.AnnotateNPWG(t, fmt.Sprintf(asks, second))
		isVia := func(want string) func() bool { return func() bool { return defaultGateway(t, other) == want } }
		kactustest.Eventually(t, "the default route is moved", isVia(viaSecond))
		other.AnnotateNPWG(t, "net-a")
		kactustest.Eventually(t, "the default route is back", isVia(viaFirst))
		other.EventuallyCondition(t, "True", "Attached")
	})
	one.Del(t)
	other.Del(t)
	one.ExpectGone(t)
	other.ExpectGone(t)
}
