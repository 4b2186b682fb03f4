package plan

import (
	"net"
	"strings"
	"testing"

	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

func TestSameMAC(t *testing.T) {
	const first, second = network.MAC("0a:00:00:00:00:01"), network.MAC("0a:00:00:00:00:02")
	tests := []struct {
		name                string
		before, now, actual network.MAC
		want                bool
	}{
		{"none, as before", "", "", first, true},
		{"the same", first, first, first, true},
		{"another", first, second, first, false},
		{"the one that the delegate chose", "", first, first, true},
		{"another than the delegate chose", "", second, first, false},
		{"none anymore", first, "", first, false},
		{"the same, which somebody has changed since", first, first, second, false},
		{"the same, where the interface has none that is known", first, first, "", true},
		{"another, where the interface has none that is known", first, second, "", false},
		{"one for the first time, where the interface has none that is known", "", first, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := (Attachment{Requests: network.Requests{MAC: tt.before}}).SameMAC(tt.now,
				tt.actual); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

func TestSameIPs(t *testing.T) {
	both := []string{"10.7.0.5/24", "fd00::5"}
	tests := []struct {
		name        string
		before, now []string
		want        bool
	}{
		{"none, as before", nil, nil, true},
		{"the same, in another order and spelling", both, []string{"fd00:0::05/64", "10.7.0.5"}, true},
		{"one that the result does not have", []string{"10.7.0.7/24"}, []string{"10.7.0.7/24", "10.7.0.5/24"}, true},
		{"one that the result does not have, without its prefix length", []string{"10.7.0.7/24"},
			[]string{"10.7.0.7"}, true},
		{"one that the result does not have, with another prefix length", []string{"10.7.0.7/24"},
			[]string{"10.7.0.7/16"}, false},
		{"one that the delegate chose", nil, []string{"10.7.0.5/24"}, true},
		{"another", both, []string{"10.7.0.6/24"}, false},
		{"another prefix length", both, []string{"10.7.0.5/16", "fd00::5"}, false},
		{"one more", both, []string{"10.7.0.5/24", "fd00::5", "10.7.0.6/24"}, false},
		{"one less", both, []string{"10.7.0.5/24"}, false},
		{"none anymore", both, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			result := &cniconf.Result{}
			for _, address := range []string{"10.7.0.5/24", "fd00::5/64"} {
				ip, subnet, err := net.ParseCIDR(address)
				if err != nil {
					t.Fatal(err)
				}
				result.IPs = append(result.IPs, &types100.IPConfig{Address: net.IPNet{IP: ip, Mask: subnet.Mask}})
			}
			if got := (Attachment{Requests: network.Requests{IPs: tt.before}}).SameIPs(tt.now, result); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

func TestVerifyIPs(t *testing.T) {
	const result = `{"cniVersion": "1.0.0", "ips": [{"address": "10.7.0.5/24"}, {"address": "::ffff:10.7.0.6/120"},
		{"address": "fd00::5/64"}, {"address": "10.24.1.10/23"},
		{"address": "10.9.0.1/24"}, {"address": "10.9.0.1/32"}]}`
	tests := []struct {
		name string
		ips  []string
		want string // in the error, after the interface; empty for none
	}{
		{"none asked for", nil, ""},
		{"all of them", []string{"10.7.0.5/24", "fd00::5/64"}, ""},
		{"another prefix length", []string{"10.7.0.5/16"}, "the address 10.7.0.5/24, and not 10.7.0.5/16"},
		{"a longer prefix than that of the network", []string{"10.24.1.10/24"},
			"the address 10.24.1.10/23, and not 10.24.1.10/24"},
		{"another prefix length of IPv6", []string{"fd00::5/128"}, "the address fd00::5/64, and not fd00::5/128"},
		{"another prefix length of IPv4 that the result maps to IPv6", []string{"10.7.0.6/16"},
			"the address 10.7.0.6/24"},
		{"IPv4 that the Pod maps to IPv6", []string{"::ffff:10.7.0.5/120", "::ffff:10.7.0.5"}, ""},
		{"one of two prefix lengths", []string{"10.9.0.1/32", "10.9.0.1/24"}, ""},
		{"no prefix length", []string{"10.24.1.10", "fd00::5", "10.7.0.6"}, ""},
		{"no prefix length, and missing", []string{"10.24.1.11"}, "the address 10.24.1.11 "},
		{"another spelling of IPv6", []string{"fd00:0::0005/64"}, ""},
		{"IPv4 that the result maps to IPv6", []string{"10.7.0.6/24"}, ""},
		{"one of two missing", []string{"10.7.0.5/24", "10.7.0.7/24"}, "the address 10.7.0.7/24"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := cniconf.ParseResult([]byte(result))
			if err != nil {
				t.Fatal(err)
			}
			err = Attachment{IfName: "net1", Requests: network.Requests{IPs: tt.ips}}.VerifyIPs(r)
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), "net1 "+tt.want)):
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestResultMAC(t *testing.T) {
	result := &cniconf.Result{Interfaces: []*cniconf.Interface{
		{Name: "net1", Mac: "0a:00:00:00:00:01"}, // on the node
		{Name: "net2", Mac: "0a:00:00:00:00:02", Sandbox: "/n"},
		{Name: "net1", Mac: "0A:00:00:00:00:03", Sandbox: "/n"},
	}}
	for ifName, want := range map[string]network.MAC{"net1": "0a:00:00:00:00:03", "net3": ""} {
		if got := (Attachment{IfName: ifName}).ResultMAC(result); got != want {
			t.Errorf("%s: got %q, want %q", ifName, got, want)
		}
	}
}
