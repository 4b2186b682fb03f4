package plan

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

func gateways(texts ...string) []netip.Addr {
	var all []netip.Addr
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

func TestGatewaysByFamily(t *testing.T) {
	for want, all := range map[string][]netip.Addr{
		"[]":                                 nil,
		"[[10.0.0.1]]":                       gateways("10.0.0.1", "10.0.0.1"),
		"[[fd00::1]]":                        gateways("fd00::1"),
		"[[10.0.0.2 10.0.0.1] [fe80::1 ::]]": gateways("fe80::1", "10.0.0.2", "::", "10.0.0.1", "10.0.0.2"),
	} {
		a := Attachment{Requests: network.Requests{DefaultRoute: all}}
		if got := fmt.Sprint(a.GatewaysByFamily()); got != want {
			t.Errorf("%v: got %s, want %s", all, got, want)
		}
	}
}

func TestDefaultRouteInResults(t *testing.T) {
	const routes = `{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}, {"dst": "10.0.0.0/8"}, {"dst": "::/0"}, ` +
		`{"dst": "0.0.0.0/1"}, {"dst": "0.0.0.0/0", "table": 7}, {"dst": "0.0.0.0/0", "table": 254}`
	show := func(result *cniconf.Result) string {
		var all []string
		for _, r := range result.Routes {
			text := r.Dst.String()
			if r.GW != nil {
				text += " by " + r.GW.String()
			}
			all = append(all, text)
		}
		return strings.Join(all, ", ")
	}
	const all = "0.0.0.0/0 by 10.1.0.1, 10.0.0.0/8, ::/0, 0.0.0.0/1, 0.0.0.0/0, 0.0.0.0/0"
	for name, c := range map[string]struct {
		defaultRoute  []netip.Addr
		without, with string
	}{
		"none": {nil, all, all},
		"IPv4": {
			gateways("10.2.0.1"), "10.0.0.0/8, ::/0, 0.0.0.0/1, 0.0.0.0/0",
			"10.0.0.0/8, ::/0, 0.0.0.0/1, 0.0.0.0/0, 0.0.0.0/0 by 10.2.0.1",
		},
		"IPv6": {
			gateways("fd00::1", "fd00::2"),
			"0.0.0.0/0 by 10.1.0.1, 10.0.0.0/8, 0.0.0.0/1, 0.0.0.0/0, 0.0.0.0/0",
			"0.0.0.0/0 by 10.1.0.1, 10.0.0.0/8, 0.0.0.0/1, 0.0.0.0/0, 0.0.0.0/0, ::/0 by fd00::1, ::/0 by fd00::2",
		},
		"both": {
			gateways("10.2.0.1", "fd00::1"), "10.0.0.0/8, 0.0.0.0/1, 0.0.0.0/0",
			"10.0.0.0/8, 0.0.0.0/1, 0.0.0.0/0, 0.0.0.0/0 by 10.2.0.1, ::/0 by fd00::1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := cniconf.ParseResult([]byte(`{"cniVersion": "1.1.0", "routes": [` + routes + `]}`))
			if err != nil {
				t.Fatal(err)
			}
			a := Attachment{Requests: network.Requests{DefaultRoute: c.defaultRoute}}
			if got := show(a.WithoutDefaultRoutes(result)); got != c.without {
				t.Errorf("without: got  %s\nwant %s", got, c.without)
			}
			if got := show(a.WithDefaultRoute(result)); got != c.with {
				t.Errorf("with: got  %s\nwant %s", got, c.with)
			}
			if got := show(result); got != all {
				t.Errorf("the result itself has changed: %s", got)
			}
		})
	}
}
