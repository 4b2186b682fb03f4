//go:build root

package delegate

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
)

func TestRunner_ChainOfRealPlugins(t *testing.T) {
	ns, leases := netnstest.New(t), t.TempDir()
	c := newCall(t, `{"name": "green", "plugins": [
		{"type": "bridge", "bridge": "green-br", "isGateway": true,
		 "ipam": {"type": "host-local", "dataDir": "`+leases+`", "ranges": [[{"subnet": "10.42.0.0/24"}]]}},
		{"type": "portmap", "capabilities": {"portMappings": true}},
		{"type": "tuning", "mtu": 1380}]}`)
	c.Netns, c.IfName = ns.Path, "net9f27410725ab"
	c.RuntimeConfig = map[string]json.RawMessage{
		"portMappings": json.RawMessage(
			`[{"hostPort": 18080, "containerPort": 80, "protocol": "tcp", "hostIP": "10.42.0.1"}]`),
	}
	r := newScripts(t).runner(pluginDir)
	t.Cleanup(func() { removeBridge("green-br") })
	result, err := r.Add(t.Context(), c)
	must(t, err)

	given := result.IPs[0].Address
	if got := ns.IPv4(t, c.IfName); len(got) != 1 || got[0] != given.String() {
		t.Errorf("the interface has %v, the result %v", got, given)
	}
	if mtu := ns.Link(t, c.IfName).Attrs().MTU; mtu != 1380 {
		t.Errorf("the MTU is %d: tuning did not run after bridge", mtu)
	}
	if rules := natRules(t); !strings.Contains(rules, "18080") || !strings.Contains(rules, given.IP.String()+":80") {
		t.Errorf("no port mapping to %s:\n%s", given.IP, rules)
	}
	if got := leaseFiles(t, leases); len(got) == 0 {
		t.Error("no lease")
	}

	c.Result, err = cniconf.EncodeResult(result, c.Config.CNIVersion)
	must(t, err)
	must(t, r.Check(t.Context(), c))
	must(t, ns.Links(t).LinkSetMTU(ns.Link(t, c.IfName), 1280))
	if failed := asError(t, r.Check(t.Context(), c)); failed.Plugin != "tuning" {
		t.Errorf("CHECK after the MTU changed: %v", failed)
	}
	for range 2 { // the second time, there is nothing left, which is no error
		must(t, delErr(r.Del(t.Context(), c)))
	}
	if got := ns.Devices(t); len(got) != 0 {
		t.Errorf("interfaces left: %v", got)
	}
	if rules := natRules(t); strings.Contains(rules, "18080") {
		t.Errorf("a port mapping is left:\n%s", rules)
	}
	if got := leaseFiles(t, leases); len(got) != 0 {
		t.Errorf("leases left: %v", got)
	}
}

func TestDel_WithoutNetnsFreesTheLease(t *testing.T) {
	ns, leases := netnstest.New(t), t.TempDir()
	c := newCall(t, `{"type": "ptp", "ipam":
		{"type": "host-local", "dataDir": "`+leases+`", "ranges": [[{"subnet": "10.43.0.0/24"}]]}}`)
	c.Netns, c.IfName = ns.Path, "eth0"
	r := newScripts(t).runner(pluginDir)
	_, err := r.Add(t.Context(), c)
	must(t, err)
	if got := leaseFiles(t, leases); len(got) != 1 {
		t.Fatalf("leases: %v", got)
	}
	ns.Remove()
	c.Netns = ""
	must(t, delErr(r.Del(t.Context(), c)))
	if got := leaseFiles(t, leases); len(got) != 0 {
		t.Errorf("leases left: %v", got)
	}
}

func TestAdd_ErrorOfARealPlugin(t *testing.T) {
	c := newCall(t, `{"type": "bridge", "bridge": "never-made",
		"ipam": {"type": "host-local", "subnet": "10.44.0.0/24"}}`)
	c.Netns = "/run/netns/there-is-none"
	t.Cleanup(func() { removeBridge("never-made") })
	_, err := newScripts(t).runner(pluginDir).Add(t.Context(), c)
	failed := asError(t, err)
	if failed.Code == 0 || !strings.Contains(err.Error(), "/run/netns/there-is-none") {
		t.Errorf("code %d: %v", failed.Code, err)
	}
}

func TestGCAndStatus_OfARealPlugin(t *testing.T) {
	s := newScripts(t)
	chain := newChain(t, `{"cniVersion": "1.1.0", "type": "ptp", "ipam":
		{"type": "host-local", "dataDir": "`+s.dir+`", "ranges": [[{"subnet": "10.9.0.0/24"}]]}}`)
	must(t, s.runner(pluginDir).GC(t.Context(), chain, nil))
	must(t, s.runner(pluginDir).Status(t.Context(), chain))
}

func natRules(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("iptables-save", "-t", "nat").CombinedOutput()
	if err != nil {
		t.Fatalf("iptables-save: %v\n%s", err, out)
	}
	return string(out)
}

// leaseFiles returns the leases that host-local has in dir.
func leaseFiles(t *testing.T, dir string) []string {
	t.Helper()
	leases, err := filepath.Glob(filepath.Join(dir, "*", "10.*"))
	must(t, err)
	return leases
}

func removeBridge(name string) {
	if link, err := netlink.LinkByName(name); err == nil {
		_ = netlink.LinkDel(link)
	}
}
