//go:build root

package metaplugin

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestAdd_WarnsOfASecondaryDefaultRoute(t *testing.T) {
	n := newTestNode(t)
	var log bytes.Buffer
	n.plugin.Log = slog.New(slog.NewTextHandler(&log, nil))
	n.script("router", `[ $CNI_COMMAND = DEL ] || echo '{"cniVersion":"1.0.0","routes":[{"dst":"0.0.0.0/0"}]}'`)
	n.api.networks["tenant/green"] = `{"type": "router"}`
	n.api.networks["tenant/blue"] = `{"type": "router"}`
	n.selectNetworks("green")
	req := n.request(n.conf(`{"type": "router"}`))
	expectWarning := func(network string) {
		n.Helper()
		if strings.Count(log.String(), "default route") != 1 || !strings.Contains(log.String(), "network="+network) {
			n.Errorf("the log is %s", &log)
		}
		log.Reset()
	}
	n.add(req)
	expectWarning("green")
	n.add(n.hotRequest(req.Conf, "blue"))
	expectWarning("blue")
}
