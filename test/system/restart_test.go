package system

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// runtimeRestart starts the runtime again after it was stopped, and after it has crashed.
func (c *testCluster) runtimeRestart(t *testing.T, node *cluster.Node) {
	before := c.podOn(t, node, "before", greenAndData)
	host := c.hostNetworkPod(t, node)
	for n, end := range []func() error{node.StopRuntime, node.KillRuntime} {
		uids := c.uid(t, before) + c.uid(t, host)
		if err := end(); err != nil {
			t.Fatal(err)
		}
		meanwhile := fmt.Sprintf("meanwhile%d-%s", n, node.Name())
		c.apply(t, podManifest(meanwhile, node.Name(), greenAndData))
		if err := node.StartRuntime(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.ready(t, "pod/"+before, "pod/"+host, "pod/"+meanwhile)
		c.expectInterfaces(t, meanwhile, "eth0", green, data)
		c.expectUntouched(t, before)
		if c.uid(t, before)+c.uid(t, host) != uids {
			t.Error("a Pod was replaced")
		}
	}
}

// expectUntouched waits until a Pod can be entered again, and expects that its sandbox is still the
// first one, with all interfaces.
func (c *testCluster) expectUntouched(t *testing.T, pod string) {
	t.Helper()
	await(t, pod+" has its interfaces", func() (string, bool) {
		out, err := c.Kubectl(t.Context(), "exec", pod, "--", "ip", "link").CombinedOutput()
		return string(out), err == nil && strings.Contains(string(out), green) && strings.Contains(string(out), data)
	})
	restarts := c.kubectl(t, "get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].restartCount}")
	if restarts != "0" {
		t.Errorf("%s was started again %s times", pod, restarts)
	}
}

// hostNetworkPod starts a Pod in the node's network namespace.
func (c *testCluster) hostNetworkPod(t *testing.T, node *cluster.Node) string {
	t.Helper()
	name := "host-" + node.Name()
	manifest := podManifest(name, node.Name(), greenAndData)
	c.apply(t, strings.Replace(manifest, "spec: {", "spec: {hostNetwork: true, ", 1))
	c.ready(t, "pod/"+name)
	return name
}

// hostNetwork expects that a Pod with hostNetwork is none of kactus's business, whatever its
// annotation, and that the agent says so.
func (c *testCluster) hostNetwork(t *testing.T, node *cluster.Node) {
	pod := c.hostNetworkPod(t, node)
	if held := records(t, node); len(held) > 0 {
		t.Errorf("records: %q", held)
	}
	if address := c.kubectl(t, "get", "pod", pod, "-o", "jsonpath={.status.podIP}"); address != node.IP().String() {
		t.Errorf("the address of %s is %s, want the node's", pod, address)
	}
	c.awaitCondition(t, pod, "HostNetwork", "hostNetwork")
	c.awaitWarning(t, pod, "FailedAddingInterface", "hostNetwork")
	c.kubectl(t, "delete", "pod", pod)
	if log := c.on(t, node, "cat", logPath); strings.Contains(log, "default/"+pod) {
		t.Errorf("kactus was called for %s", pod)
	}
}

func (c *testCluster) kubeletRestart(t *testing.T, node *cluster.Node) {
	stays, goes := c.podOn(t, node, "stays", greenAndData), c.podOn(t, node, "goes", greenAndData)
	if err := node.KillKubelet(); err != nil {
		t.Fatal(err)
	}
	c.kubectl(t, "delete", "pod", goes, "--grace-period=0", "--force")
	if err := node.StartKubelet(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "the ledger has a record of the remaining Pod only", func() (string, bool) {
		held := records(t, node)
		return fmt.Sprint(held), len(held) == 1
	})
	c.ready(t, "pod/"+stays)
	c.expectInterfaces(t, stays, "eth0", green, data)
}

// reboot ends the node's processes, mounts and network, but not its disk, and changes its boot ID.
// Before and after, the agent adds a network to one of the Pods, or removes it.
func (c *testCluster) reboot(t *testing.T, node *cluster.Node) {
	var pods []string
	for n := range 3 {
		pod := fmt.Sprintf("survivor%d-%s", n, node.Name())
		c.apply(t, podManifest(pod, node.Name(), greenAndData))
		pods = append(pods, "pod/"+pod)
	}
	c.ready(t, pods...)
	edited := strings.TrimPrefix(pods[0], "pod/")
	c.annotate(t, edited, `[{"name": "blue"}, {"name": "green"}, {"name": "data"}]`)
	c.awaitAttached(t, edited, blue, green, data)
	if err := node.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods {
		c.kubectl(t, "wait", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", "--timeout=90s", pod)
	}
	c.ready(t, pods...)
	c.expectInterfaces(t, edited, "eth0", blue, green, data)
	c.annotate(t, edited, greenAndData)
	for _, pod := range pods {
		c.awaitAttached(t, strings.TrimPrefix(pod, "pod/"), green, data)
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
