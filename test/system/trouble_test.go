package system

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// bridgeWithoutIPAM starts a Pod on a network whose plugin's CHECK fails for want of an address,
// though nothing is wrong. CRI-O runs CHECK before a Pod may start.
func (c *testCluster) bridgeWithoutIPAM(t *testing.T, node *cluster.Node) {
	network := "layer2-" + node.Name()
	c.apply(t, `apiVersion: kaloom.com/v1
kind: Network
metadata: {name: `+network+`}
spec: {plugin: bridge, config: '{"bridge": "data-br"}'}`)
	pod := c.podOn(t, node, "layer2", `[{"name": "`+network+`"}]`)
	if got := c.interfaces(t, pod); len(got) != 2 {
		t.Errorf("%s has the interfaces %q, want two", pod, got)
	}
	c.restartRuntime(t, node)
	c.ready(t, "pod/"+pod)
	c.kubectl(t, "delete", "pod", pod)
	c.nothingLeftOn(t, node)
}

// hotTrouble removes the interface of a hot network, and later what libcni keeps of the Pod's ADD.
// Neither may cost the Pod its life when the runtime and the kubelet start again.
func (c *testCluster) hotTrouble(t *testing.T, node *cluster.Node) {
	pod := c.podOn(t, node, "troubled", greenAndData)
	// The network of another agent, which the installed one neither removes nor repairs.
	c.annotate(t, pod, `[{"name": "green"}, {"name": "data"}, {"name": "blue", "podagentSkip": true}]`)
	c.hot(t, node, "ADD", pod, "blue", blue)
	_, netns := c.sandbox(t, node, pod)
	c.on(t, node, "nsenter", "--net="+netns, "ip", "link", "del", blue)
	c.expectSurvivesRestart(t, node, pod)
	if err := os.RemoveAll(node.Path("/var/lib/cni/results")); err != nil {
		t.Fatal(err)
	}
	c.expectSurvivesRestart(t, node, pod)
	c.kubectl(t, "delete", "pod", pod)
	c.nothingLeftOn(t, node)
}

// expectSurvivesRestart starts the runtime and the kubelet again. The kubelet replaces a sandbox
// that has no address, which is how CRI-O understands a CHECK that fails. By the start of another
// Pod, the kubelet has looked at all sandboxes.
func (c *testCluster) expectSurvivesRestart(t *testing.T, node *cluster.Node, pod string) {
	t.Helper()
	id, _ := c.sandbox(t, node, pod)
	c.restartRuntime(t, node)
	if err := node.KillKubelet(); err != nil {
		t.Fatal(err)
	}
	if err := node.StartKubelet(t.Context()); err != nil {
		t.Fatal(err)
	}
	later := c.podOn(t, node, "later", "")
	c.expectUntouched(t, pod)
	if now, _ := c.sandbox(t, node, pod); now != id {
		t.Errorf("%s was started again", pod)
	}
	for line := range strings.Lines(c.on(t, node, "cat", logPath)) {
		isCheck := strings.Contains(line, "CHECK") && strings.Contains(line, "default/"+pod)
		if isCheck && strings.Contains(line, "code=") {
			t.Errorf("a CHECK failed: %s", line)
		}
	}
	c.kubectl(t, "delete", "pod", later)
}

// crashWithDelegate kills kactus in an ADD, while a delegate runs for longer than a DEL waits for a
// container's lock. The runtime asks for one DEL.
func (c *testCluster) crashWithDelegate(t *testing.T, node *cluster.Node) {
	const seconds = 15
	c.killKactusOnce(t, node, "ADD", seconds)
	pod := c.podOn(t, node, "slow", greenAndData)
	c.awaitKilled(t, node)
	c.kubectl(t, "delete", "pod", pod)
	c.nothingLeftOn(t, node)
}

// expectNoGCError expects that CRI-O has not logged an error of a GC.
func expectNoGCError(t *testing.T, node *cluster.Node) {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(node.Dir(), "crio.log"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "GCing network") {
			t.Error(line)
		}
	}
}
