package cluster_test

import (
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

func testRestart(t *testing.T, c *cluster.Cluster) {
	before := pair(t, c)
	for _, node := range c.Nodes() {
		for _, step := range []func() error{
			node.StopKubelet, node.StopRuntime,
			func() error { return node.StartRuntime(t.Context()) },
			func() error { return node.StartKubelet(t.Context()) },
		} {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n, after := range pair(t, c) {
		if after != before[n] {
			t.Errorf("the Pod after the restart: %+v; want %+v", after, before[n])
		}
		// A kubelet that is Ready may not have synced all its Pods yet.
		eventually(t, "exec in "+after.name, func() bool {
			return c.Kubectl(t.Context(), "exec", after.name, "--", "true").Run() == nil
		})
	}
}

func testReboot(t *testing.T, c *cluster.Cluster) {
	const bootIDs = "jsonpath={.items[*].status.nodeInfo.bootID}"
	before := strings.Fields(kubectl(t, c, "get", "nodes", "-o", bootIDs))
	var group errgroup.Group
	for _, node := range c.Nodes() {
		group.Go(func() error { return node.Reboot(t.Context()) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, pod := range pair(t, c) {
		kubectl(t, c, "wait", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", "--timeout=180s",
			"pod/"+pod.name)
		kubectl(t, c, "wait", "--for=condition=Ready", "--timeout=180s", "pod/"+pod.name)
	}
	pods := pair(t, c) // the addresses may have changed
	kubectl(t, c, "exec", pods[0].name, "--", "ping", "-c", "1", "-W", "5", pods[1].ip)
	for n, after := range strings.Fields(kubectl(t, c, "get", "nodes", "-o", bootIDs)) {
		if after == before[n] {
			t.Errorf("the boot ID of %s is %s, as before", c.Nodes()[n].Name(), after)
		}
	}
}

func testNodesOutage(t *testing.T, c *cluster.Cluster) {
	if err := c.StopAPIServer(); err != nil {
		t.Fatal(err)
	}
	if out, err := c.Kubectl(t.Context(), "get", "nodes").CombinedOutput(); err == nil {
		t.Errorf("the stopped apiserver responds: %s", out)
	}
	if err := c.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, pod := range pair(t, c) {
		eventually(t, "exec in "+pod.name, func() bool {
			return c.Kubectl(t.Context(), "exec", pod.name, "--", "true").Run() == nil
		})
	}
}
