package system

import (
	"fmt"
	"strings"
	"testing"
)

func (c *testCluster) containerdRestart(t *testing.T) {
	c.networks(t)
	node := c.Nodes()[0]
	c.apply(t, podManifest("before", node.Name(), greenAndData))
	c.ready(t, "pod/before")
	uid := c.uid(t, "before")
	if err := node.StopRuntime(); err != nil {
		t.Fatal(err)
	}
	c.apply(t, podManifest("meanwhile", node.Name(), greenAndData))
	if err := node.StartRuntime(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.ready(t, "pod/before", "pod/meanwhile")
	if c.uid(t, "before") != uid {
		t.Error("the Pod was replaced")
	}
	await(t, "the Pod has its interfaces", func() (string, bool) {
		out, err := c.Kubectl(t.Context(), "exec", "before", "--", "ip", "link").CombinedOutput()
		return string(out), err == nil && strings.Contains(string(out), green) && strings.Contains(string(out), data)
	})
	c.expectInterfaces(t, "meanwhile", "eth0", green, data)
}

func (c *testCluster) kubeletRestart(t *testing.T) {
	c.networks(t)
	node := c.Nodes()[1]
	c.apply(t, podManifest("stays", node.Name(), greenAndData), podManifest("goes", node.Name(), greenAndData))
	c.ready(t, "pod/stays", "pod/goes")
	if err := node.KillKubelet(); err != nil {
		t.Fatal(err)
	}
	c.kubectl(t, "delete", "pod", "goes", "--grace-period=0", "--force")
	if err := node.StartKubelet(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "the ledger has a record of the remaining Pod only", func() (string, bool) {
		held := records(t, node)
		return fmt.Sprint(held), len(held) == 1
	})
	c.ready(t, "pod/stays")
	c.expectInterfaces(t, "stays", "eth0", green, data)
}

// reboot ends the node's processes, mounts and network, but not its disk.
func (c *testCluster) reboot(t *testing.T) {
	c.networks(t)
	node := c.Nodes()[0]
	var pods []string
	for n := range 3 {
		pod := fmt.Sprintf("survivor%d", n)
		c.apply(t, podManifest(pod, node.Name(), greenAndData))
		pods = append(pods, "pod/"+pod)
	}
	c.ready(t, pods...)
	if err := node.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods {
		c.kubectl(t, "wait", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", "--timeout=90s", pod)
	}
	c.ready(t, pods...)
	for _, pod := range pods {
		c.expectInterfaces(t, pod, "eth0", green, data)
	}
	await(t, "the ledger and the leases are those of the running Pods", func() (string, bool) {
		found := left(t, node)
		held, leases := len(records(t, node)), 0
		for _, path := range found {
			if strings.Contains(path, "/networks/cbr0/") || strings.Contains(path, "/networks/data/") {
				leases++
			}
		}
		return strings.Join(found, "\n"), held == len(pods) && leases == 2*len(pods)
	})
}
