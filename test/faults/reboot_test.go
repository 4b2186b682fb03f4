package faults

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// After a boot, the network namespaces are gone, and no DEL comes for the Pods of before. Whatever
// chains they had, the DELs of other Pods, or kactus gc, leave nothing of them.
func TestFault_RuntimeBoots(t *testing.T) {
	t.Parallel()
	f := fault{name: "a boot with tuning, sbr, firewall, portmap, bandwidth, dhcp; then DEL of others, or gc"}
	for name, turn := range map[string]func(*bootedNode, *testing.T){
		"DEL of others": (*bootedNode).delOther,
		"gc":            (*bootedNode).gc,
	} {
		f.try(t, name, func(t *testing.T) time.Duration { return tryBoot(t, turn) })
	}
	f.report(t)
}

// tryBoot plays a boot, and lets the turns collect what it left. It returns how long they took.
func tryBoot(t *testing.T, turn func(*bootedNode, *testing.T)) time.Duration {
	t.Helper()
	n := newBootedNode(t)
	n.startDHCP(t)
	p := n.NewPod(t, `[{"name":"dynamic"}]`)
	call := p.Runtime()
	call.Capabilities = map[string]any{"portMappings": []any{
		map[string]any{"hostPort": 30000 + int(n.Number), "containerPort": 80, "protocol": "tcp"},
	}}
	kactustest.MustResult(t)(p.AddWith(t, p.Conf, call))
	addr := p.Addr(t, "eth0")
	n.stopDHCP()
	p.LoseNetns()
	p.PretendReboot(t)
	kactustest.Must(t, os.RemoveAll(n.unsettledDir()))

	start := time.Now()
	turn(n, t)
	var left []string
	for _, a := range p.Record(t).Attachments {
		left = append(left, a.Network)
	}
	kactustest.ExpectSame(t, "attachments while the DHCP client does not run", left, []string{"dynamic"})
	p.ExpectLeases(t, kactustest.DefaultNetwork, 0)
	n.expectNoRule(t, addr)
	n.startDHCP(t)
	turn(n, t)
	took := time.Since(start)
	expectClean(t, p)
	return took
}

// A bootedNode is a tenant whose default network has a long chain, and that has the network
// dynamic, with addresses of a DHCP server on the node.
type bootedNode struct {
	*kactustest.Tenant
	daemons []*exec.Cmd
}

func newBootedNode(t *testing.T) *bootedNode {
	t.Helper()
	tn := kactustest.NewTenant(t)
	tn.Conf.Capabilities = map[string]bool{"portMappings": true}
	tn.SetDelegates(`{"masterPlugin": true, "plugins": [{` + tn.BridgeConfig(t, "eth") + `, "isGateway": true},
		{"type": "tuning", "mtu": 1400}, {"type": "sbr"}, {"type": "firewall"},
		{"type": "portmap", "capabilities": {"portMappings": true}},
		{"type": "bandwidth", "ingressRate": 100000000, "ingressBurst": 1000000,
			"egressRate": 100000000, "egressBurst": 1000000}]}`)
	n := &bootedNode{Tenant: tn}
	config := tn.BridgeConfig(t, "dynamic")
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: n.bridge()}}
	kactustest.Must(t, netlink.LinkAdd(bridge))
	addr, err := netlink.ParseAddr(n.subnet("1/24"))
	kactustest.Must(t, err)
	kactustest.Must(t, netlink.AddrAdd(bridge, addr))
	kactustest.Must(t, netlink.LinkSetUp(bridge))
	config, _, _ = strings.Cut(config, `"ipam"`)
	ipam := fmt.Sprintf(`"ipam": {"type": "dhcp", "daemonSocketPath": %q}`, n.socket())
	tn.CreateNetwork(t, "dynamic", "{"+config+ipam+"}")
	t.Cleanup(n.stopDHCP)
	return n
}

func (n *bootedNode) bridge() string { return fmt.Sprintf("b%d-dynamic", n.Number) }
func (n *bootedNode) subnet(host string) string {
	return fmt.Sprintf("10.250.%d.%s", n.Number%256, host)
}
func (n *bootedNode) socket() string { return filepath.Join(n.Dir, "dhcp.sock") }

// unsettledDir returns where the ledger notes, until the next boot, what may have to be collected.
func (n *bootedNode) unsettledDir() string {
	sum := sha256.Sum256([]byte(n.Conf.CNIDir))
	return filepath.Join("/run/kactus/unsettled", hex.EncodeToString(sum[:8]))
}

// startDHCP starts a DHCP server, and the daemon of the plugin dhcp.
func (n *bootedNode) startDHCP(t *testing.T) {
	t.Helper()
	_ = os.Remove(n.socket()) // left when the daemon was killed
	server := filepath.Join(n.Dir, "udhcpd.conf")
	leases := filepath.Join(n.Dir, "udhcpd.leases")
	kactustest.Must(t, os.WriteFile(leases, nil, 0o600))
	kactustest.Must(t, os.WriteFile(server, fmt.Appendf(nil,
		"start %s\nend %s\ninterface %s\nlease_file %s\npidfile %s\nopt subnet 255.255.255.0\nopt lease 600\n",
		n.subnet("100"), n.subnet("120"), n.bridge(), leases, leases+".pid"), 0o600))
	n.start(t, "busybox", "udhcpd", "-f", "-S", server)
	n.start(t, filepath.Join(kactustest.PluginDir(), "dhcp"), "daemon", "-socketpath", n.socket())
	kactustest.Eventually(t, "the daemon of dhcp listens", func() bool {
		_, err := os.Stat(n.socket())
		return err == nil
	})
}

func (n *bootedNode) start(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	kactustest.Must(t, cmd.Start())
	n.daemons = append(n.daemons, cmd)
}

func (n *bootedNode) stopDHCP() {
	for _, cmd := range n.daemons {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	n.daemons = nil
}

// delOther adds and deletes another Pod.
func (n *bootedNode) delOther(t *testing.T) {
	t.Helper()
	p := n.NewPod(t, `[]`)
	p.Add(t)
	p.Del(t)
}

// gc runs kactus gc. What it says is not an error of the test: the DHCP client may not run.
func (n *bootedNode) gc(t *testing.T) {
	t.Helper()
	out, code := n.Subcommand(t, "gc")
	t.Logf("kactus gc exits with %d: %s", code, out)
}

// expectNoRule fails the test if a rule of iptables has that address.
func (n *bootedNode) expectNoRule(t *testing.T, addr string) {
	t.Helper()
	for _, table := range []string{"nat", "filter"} {
		rules, err := exec.CommandContext(t.Context(), "iptables", "--wait", "-t", table, "-S").CombinedOutput()
		kactustest.Must(t, err)
		for rule := range strings.Lines(string(rules)) {
			if strings.Contains(rule, addr+"/") {
				t.Errorf("left in the table %s: %s", table, rule)
			}
		}
	}
}
