package cluster_test

import (
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

func testRestart(t *testing.T, c *cluster.Cluster) {
	before, _ := pair(t, c)
	node := c.Nodes()[0]
	for _, step := range []func() error{
		node.StopKubelet, node.StopContainerd,
		func() error { return node.StartContainerd(t.Context()) },
		func() error { return node.StartKubelet(t.Context()) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after, _ := pair(t, c); after != before {
		t.Errorf("the Pod after the restart: %+v; want %+v", after, before)
	}
	// A kubelet that is Ready may not have synced all its Pods yet.
	eventually(t, "exec in "+before.name, func() bool {
		return c.Kubectl(t.Context(), "exec", before.name, "--",
			"true").Run() == nil
	})
}

func testReboot(t *testing.T, c *cluster.Cluster) {
	const bootID = "jsonpath={.status.nodeInfo.bootID}"
	one, two := pair(t, c)
	before := kubectl(t, c, "get", "node", "node1", "-o", bootID)
	if err := c.Nodes()[0].Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	kubectl(t, c, "wait", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", "--timeout=180s",
		"pod/"+one.name)
	kubectl(t, c, "wait", "--for=condition=Ready", "--timeout=180s", "pod/"+one.name)
	one, _ = pair(t, c) // the address has changed
	kubectl(t, c, "exec", two.name, "--", "ping", "-c", "1", "-W", "5", one.ip)
	if after := kubectl(t, c, "get", "node", "node1", "-o", bootID); after == before {
		t.Errorf("the boot ID is %s, as before", after)
	}
}

func testNodesOutage(t *testing.T, c *cluster.Cluster) {
	one, _ := pair(t, c)
	if err := c.StopAPIServer(); err != nil {
		t.Fatal(err)
	}
	if out, err := c.Kubectl(t.Context(), "get", "nodes").CombinedOutput(); err == nil {
		t.Errorf("the stopped apiserver responds: %s", out)
	}
	if err := c.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "exec in "+one.name, func() bool {
		return c.Kubectl(t.Context(), "exec", one.name, "--",
			"true").Run() == nil
	})
}
