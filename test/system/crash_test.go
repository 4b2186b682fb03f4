package system

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// crashInAdd kills kactus when the last delegate of a Pod has done its work. The runtime runs one
// DEL for that, and starts the Pod again in a new sandbox.
func (c *testCluster) crashInAdd(t *testing.T, node *cluster.Node) {
	c.killKactusOnce(t, node, "ADD", 0)
	pod := c.podOn(t, node, "crashed", greenAndData)
	c.awaitKilled(t, node)
	c.expectInterfaces(t, pod, "eth0", green, data)
	await(t, "the ledger has a record of the new sandbox only", func() (string, bool) {
		held := records(t, node)
		return fmt.Sprint(held), len(held) == 1
	})
	c.kubectl(t, "delete", "pod", pod)
	c.nothingLeftOn(t, node)
}

// crashInDel kills kactus when a delegate has run its DEL.
func (c *testCluster) crashInDel(t *testing.T, node *cluster.Node) {
	pod := c.podOn(t, node, "leaving", greenAndData)
	c.killKactusOnce(t, node, "DEL", 0)
	c.kubectl(t, "delete", "pod", pod)
	c.awaitKilled(t, node)
	c.nothingLeftOn(t, node)
}

// killKactusOnce replaces the plugin bridge on a node until the test ends. The next time that
// kactus runs the plugin for the network data and the operation, the plugin does what it should,
// kills kactus, and then lives on for some seconds.
func (c *testCluster) killKactusOnce(t *testing.T, node *cluster.Node, operation string, seconds int) {
	t.Helper()
	c.replaceBridge(t, node, fmt.Sprintf(`printf %%s "$netconf" | /opt/cni/bin/bridge.real
code=$?
case $CNI_COMMAND/$CNI_IFNAME in
	%s/%s) mv /opt/cni/kill /opt/cni/killed 2>/dev/null && kill -KILL "$PPID" && sleep %d ;;
esac
exit $code
`, operation, data, seconds))
	if err := os.WriteFile(node.Path("/opt/cni/kill"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

// replaceBridge replaces the plugin bridge on a node until the test ends by a shell script, which
// finds the netconf in $netconf and the plugin at /opt/cni/bin/bridge.real.
func (c *testCluster) replaceBridge(t *testing.T, node *cluster.Node, script string) {
	t.Helper()
	plugin := node.Path("/opt/cni/bin/bridge")
	if err := os.Rename(plugin, plugin+".real"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Rename(plugin+".real", plugin); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(plugin, []byte("#!/bin/sh\nnetconf=$(cat)\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
}

// awaitKilled waits until killKactusOnce has killed kactus: a Pod without a grace period is deleted
// before its networks are.
func (c *testCluster) awaitKilled(t *testing.T, node *cluster.Node) {
	t.Helper()
	await(t, "kactus was killed", func() (string, bool) {
		err := os.Remove(node.Path("/opt/cni/killed"))
		return fmt.Sprint(err), err == nil
	})
}

// checkAfterAdd starts a Pod, for which CRI-O runs CHECK right after ADD. containerd never does.
func (c *testCluster) checkAfterAdd(t *testing.T, node *cluster.Node) {
	pod := c.podOn(t, node, "checked", greenAndData)
	checked := false
	for line := range strings.Lines(c.on(t, node, "cat", logPath)) {
		checked = checked || strings.Contains(line, "CHECK") && strings.Contains(line, "default/"+pod)
	}
	if want := node.Runtime() == cluster.CRIO; checked != want {
		t.Errorf("the log has a CHECK of %s: %t, want %t", pod, checked, want)
	}
}
