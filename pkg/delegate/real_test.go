package delegate

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
)

func TestAChainOfRealPluginsMakesAndUndoesAllThatItSays(t *testing.T) {
	ns, leases := netnstest.New(t), t.TempDir()
	c := callOf(t, `{"name": "green", "plugins": [
		{"type": "bridge", "bridge": "green-br", "isGateway": true,
		 "ipam": {"type": "host-local", "dataDir": "`+leases+`", "ranges": [[{"subnet": "10.42.0.0/24"}]]}},
		{"type": "portmap", "capabilities": {"portMappings": true}},
		{"type": "tuning", "mtu": 1380}]}`)
	c.Netns, c.Device = ns.Path, "net9f27410725ab"
	c.RuntimeConfig = map[string]json.RawMessage{
		"portMappings": json.RawMessage(`[{"hostPort": 18080, "containerPort": 80, "protocol": "tcp", "hostIP": "10.42.0.1"}]`),
	}
	r := newFolder(t).runner()
	t.Cleanup(func() { removeBridge("green-br") })
	result, err := r.Add(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}

	given := result.(*types100.Result).IPs[0].Address
	if got := ns.IPv4(t, c.Device); len(got) != 1 || got[0] != given.String() {
		t.Errorf("the device has %v, the result %v", got, given)
	}
	if mtu := ns.Link(t, c.Device).Attrs().MTU; mtu != 1380 {
		t.Errorf("the MTU is %d: tuning did not run after bridge", mtu)
	}
	if rules := natRules(t); !strings.Contains(rules, "18080") || !strings.Contains(rules, given.IP.String()+":80") {
		t.Errorf("no port mapping to %s:\n%s", given.IP, rules)
	}
	if got := files(t, leases); len(got) == 0 {
		t.Error("no lease")
	}

	if c.Result, err = json.Marshal(result); err != nil {
		t.Fatal(err)
	}
	if err := r.Check(t.Context(), c); err != nil {
		t.Error(err)
	}
	if err := ns.Links(t).LinkSetMTU(ns.Link(t, c.Device), 1280); err != nil {
		t.Fatal(err)
	}
	if failed := failure(t, r.Check(t.Context(), c)); failed.Plugin != "tuning" {
		t.Errorf("with another MTU: %v", failed)
	}
	for range 2 { // and again: DEL of nothing is no error
		if err := r.Del(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if got := ns.Devices(t); len(got) != 0 {
		t.Errorf("devices left: %v", got)
	}
	if rules := natRules(t); strings.Contains(rules, "18080") {
		t.Errorf("a port mapping is left:\n%s", rules)
	}
	if got := files(t, leases); len(got) != 0 {
		t.Errorf("leases left: %v", got)
	}
}

func TestADelWithoutANamespaceFreesTheLease(t *testing.T) {
	ns, leases := netnstest.New(t), t.TempDir()
	c := callOf(t, `{"type": "ptp", "ipam": {"type": "host-local", "dataDir": "`+leases+`", "ranges": [[{"subnet": "10.43.0.0/24"}]]}}`)
	c.Netns, c.Device = ns.Path, "eth0"
	r := newFolder(t).runner()
	if _, err := r.Add(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got := files(t, leases); len(got) != 1 {
		t.Fatalf("leases: %v", got)
	}
	ns.Remove()
	c.Netns = ""
	if err := r.Del(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got := files(t, leases); len(got) != 0 {
		t.Errorf("leases left: %v", got)
	}
}

func TestARealPluginsErrorIsKept(t *testing.T) {
	c := callOf(t, `{"type": "bridge", "bridge": "never-made", "ipam": {"type": "host-local", "subnet": "10.44.0.0/24"}}`)
	c.Netns = "/run/netns/there-is-none"
	_, err := newFolder(t).runner().Add(t.Context(), c)
	failed := failure(t, err)
	if failed.Code == 0 || !strings.Contains(err.Error(), "/run/netns/there-is-none") {
		t.Errorf("code %d: %v", failed.Code, err)
	}
	removeBridge("never-made")
}

func natRules(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("iptables-save", "-t", "nat").CombinedOutput()
	if err != nil {
		t.Fatalf("iptables-save: %v\n%s", err, out)
	}
	return string(out)
}

// files are the leases that host-local has in dir, without its own notes.
func files(t *testing.T, dir string) []string {
	t.Helper()
	leases, err := filepath.Glob(filepath.Join(dir, "*", "10.*"))
	if err != nil {
		t.Fatal(err)
	}
	return leases
}

func removeBridge(name string) {
	if link, err := netlink.LinkByName(name); err == nil {
		_ = netlink.LinkDel(link)
	}
}
