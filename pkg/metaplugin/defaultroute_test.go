package metaplugin

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

func TestWarnDefaultRoute(t *testing.T) {
	for name, c := range map[string]struct {
		ifName, routes string
		hot            bool
		want           []string
	}{
		"no route": {"net1", ``, false, nil},
		"a route":  {"net1", `{"dst": "10.0.0.0/8"}`, false, nil},
		"IPv4": {
			"net1", `{"dst": "10.0.0.0/8"}, {"dst": "0.0.0.0/0", "gw": "10.0.0.1"}`, false,
			[]string{"0.0.0.0/0"},
		},
		"IPv6":          {"net1", `{"dst": "::/0"}`, false, []string{"::/0"}},
		"both":          {"net1", `{"dst": "::/0"}, {"dst": "0.0.0.0/0"}`, false, []string{"0.0.0.0/0", "::/0"}},
		"host bits set": {"net1", `{"dst": "10.1.2.3/0"}`, false, []string{"0.0.0.0/0"}},
		"one half":      {"net1", `{"dst": "0.0.0.0/1"}, {"dst": "8000::/1"}`, false, nil},
		"two halves": {
			"net1", `{"dst": "128.0.0.0/1"}, {"dst": "0.0.0.0/1"}`, false,
			[]string{`0.0.0.0/1 128.0.0.0/1`},
		},
		"two halves of IPv6": {"net1", `{"dst": "::/1"}, {"dst": "8000::/1"}`, false, []string{"::/1 8000::/1"}},
		"a half and two quarters": {
			"net1", `{"dst": "128.0.0.0/1"}, {"dst": "0.0.0.0/2"}, {"dst": "64.0.0.0/2"}`, false,
			[]string{"0.0.0.0/2 64.0.0.0/2 128.0.0.0/1"},
		},
		"in a table of its own":  {"net1", `{"dst": "0.0.0.0/0", "table": 100}`, false, nil},
		"in the main table":      {"net1", `{"dst": "0.0.0.0/0", "table": 254}`, false, []string{"0.0.0.0/0"}},
		"of the default network": {"eth0", `{"dst": "0.0.0.0/0"}`, false, nil},
		"of a hot network":       {"net1", `{"dst": "0.0.0.0/0"}`, true, []string{"0.0.0.0/0"}},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := cniconf.ParseResult([]byte(`{"cniVersion": "1.1.0", "routes": [` + c.routes + `]}`))
			if err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			p := &Plugin{Log: slog.New(slog.NewTextHandler(&log, nil))}
			req := Request{IfName: "eth0"}
			if c.hot {
				req = Request{IfName: "net1", Args: podargs.Args{Hot: &podargs.Hot{Network: "green"}}}
			}
			a := ledger.Attachment{Attachment: plan.Attachment{Network: "green", IfName: c.ifName}}
			p.warnDefaultRoute(req, a, result)
			if got := strings.Count(log.String(), "network=green interface="+c.ifName); got != len(c.want) {
				t.Errorf("%d warnings, want %d: %s", got, len(c.want), &log)
			}
			for _, route := range c.want {
				if unquoted := strings.ReplaceAll(log.String(), `"`, ""); !strings.Contains(unquoted, "route="+route) {
					t.Errorf("no %q in %s", route, &log)
				}
			}
		})
	}
}
