package system

import (
	"fmt"
	"slices"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// collectAtStart restarts CRI-O, which then runs GC, on a node where an attachment is left of a
// container that CRI-O does not know.
func (c *testCluster) collectAtStart(t *testing.T, node *cluster.Node) {
	c.networks(t)
	live := c.podOn(t, node, "live", greenAndData)
	host := c.hostNetworkPod(t, node)
	uids := c.uid(t, live) + c.uid(t, host)
	before := left(t, node)
	c.on(t, node, "ip", "netns", "add", "leftover")
	defer c.on(t, node, "ip", "netns", "del", "leftover")
	c.runKactus(t, node, "ADD", "leftover", "/run/netns/leftover", "eth0",
		"IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_INFRA_CONTAINER_ID=leftover;K8S_POD_NAME="+live)
	if held := records(t, node); len(held) != 2 {
		t.Fatalf("records: %q, want two", held)
	}
	c.restartRuntime(t, node)
	await(t, "what was left is gone", func() (string, bool) {
		found := slices.DeleteFunc(left(t, node), func(path string) bool { return slices.Contains(before, path) })
		return fmt.Sprint(found), len(found) == 1 // the network namespace
	})
	c.ready(t, "pod/"+live, "pod/"+host)
	c.expectUntouched(t, live)
	c.expectInterfaces(t, live, "eth0", green, data)
	if c.uid(t, live)+c.uid(t, host) != uids {
		t.Error("a Pod was replaced")
	}
	expectNoGCError(t, node)
}
