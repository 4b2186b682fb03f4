package system

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// patchAgent patches the Pod of the agent's DaemonSet, and waits until its Pods are as it says.
func (c *testCluster) patchAgent(t *testing.T, spec string) {
	t.Helper()
	c.kubectl(t, "-n", "kube-system", "patch", "daemonset", "kactus-agent", "-p", `{"spec": {"template": {"spec": `+
		spec+`}}}`)
	c.rolledOut(t, "-n=kube-system", "daemonset/kactus-agent")
}

// agentAway edits annotations while no node has an agent.
func (c *testCluster) agentAway(t *testing.T) {
	c.networks(t)
	c.rolledOut(t, "-n=kube-system", "daemonset/kactus-agent")
	for _, node := range c.Nodes() {
		c.gatedPodOn(t, node, "edited", greenAndData)
	}
	c.patchAgent(t, `{"nodeSelector": {"kubernetes.io/os": "none"}}`)
	defer c.patchAgent(t, `{"nodeSelector": {"kubernetes.io/os": "linux"}}`) // if the test has not got there
	await(t, "no node has an agent", func() (string, bool) {
		pods := c.kubectl(t, "-n", "kube-system", "get", "pods", "-l", "app.kubernetes.io/name=kactus-agent", "-o",
			"name")
		return pods, pods == ""
	})
	for _, node := range c.Nodes() {
		edited, waiting := "edited-"+node.Name(), "waiting-"+node.Name()
		c.annotate(t, edited, `[{"name": "data"}, {"name": "blue"}]`)
		c.apply(t, gatedPodManifest(waiting, node.Name(), greenAndData))
		c.kubectl(t, "wait", "--for=condition=ContainersReady", "--timeout=90s", "pod/"+waiting)
		if got := c.condition(t, waiting); got.Status != "" {
			t.Errorf("without an agent, the condition of %s is %+v", waiting, got)
		}
		if ready := c.kubectl(t, "get", "pod", waiting, "-o",
			`jsonpath={.status.conditions[?(@.type=="Ready")].status}`); ready != "False" {
			t.Errorf("without an agent, %s is ready: %s", waiting, ready)
		}
		c.expectInterfaces(t, edited, "eth0", green, data)
	}
	c.patchAgent(t, `{"nodeSelector": {"kubernetes.io/os": "linux"}}`)
	for _, node := range c.Nodes() {
		c.awaitAttached(t, "edited-"+node.Name(), data, blue)
		c.ready(t, "pod/waiting-"+node.Name())
		c.expectInterfaces(t, "waiting-"+node.Name(), "eth0", green, data)
	}
}

// agentKilled kills what carries out an edit: kactus alone, and the agent with all that it
// executes, in an ADD and in a DEL.
func (c *testCluster) agentKilled(t *testing.T, node *cluster.Node) {
	pod := c.podOn(t, node, "victim", `[{"name": "green"}]`)
	before := c.identity(t, node, pod)
	t.Run("kactus in an ADD", func(t *testing.T) {
		c.killKactusOnce(t, node, "ADD", 0)
		c.annotate(t, pod, greenAndData)
		c.awaitKilled(t, node)
		c.awaitAttached(t, pod, green, data)
	})
	t.Run("the agent in a DEL", func(t *testing.T) {
		c.killAgentIn(t, node, "DEL", func() { c.annotate(t, pod, `[{"name": "green"}]`) })
		c.awaitRecord(t, node, pod, "eth0", green)
		c.awaitAttached(t, pod, green)
		c.expectLeases(t, node, 0)
	})
	t.Run("the agent in an ADD", func(t *testing.T) {
		c.killAgentIn(t, node, "ADD", func() { c.annotate(t, pod, greenAndData) })
		c.awaitRecord(t, node, pod, "eth0", green, data)
		c.awaitAttached(t, pod, green, data)
		c.expectLeases(t, node, 1)
	})
	c.expectSame(t, node, pod, before)
}

// killAgentIn makes an edit, and kills the agent of a node when the plugin bridge has done what the
// operation asks for, and has not returned yet.
func (c *testCluster) killAgentIn(t *testing.T, node *cluster.Node, operation string, edit func()) {
	t.Helper()
	c.replaceBridge(t, node, fmt.Sprintf(`printf %%s "$netconf" | /opt/cni/bin/bridge.real
code=$?
case $CNI_COMMAND/$CNI_IFNAME in
	%s/%s) mv /opt/cni/hold /opt/cni/held 2>/dev/null && sleep 5 ;;
esac
exit $code
`, operation, data))
	hold, held := node.Path("/opt/cni/hold"), node.Path("/opt/cni/held")
	if err := os.WriteFile(hold, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	edit()
	await(t, "the plugin has done its work on "+node.Name(), func() (string, bool) {
		err := os.Remove(held)
		return fmt.Sprint(err), err == nil
	})
	c.killAgents(t, node)
}

// killAgents kills the agents of a node. The node's processes are a cluster's own.
func (c *testCluster) killAgents(t *testing.T, node *cluster.Node) {
	t.Helper()
	agents := strings.Fields(c.on(t, node, "pgrep", "-f", "^/kactus agent"))
	c.on(t, node, "kill", append([]string{"-KILL"}, agents...)...)
}

// awaitRecord waits until the ledger has exactly these interfaces of a Pod, all of them attached.
func (c *testCluster) awaitRecord(t *testing.T, node *cluster.Node, pod string, want ...string) {
	t.Helper()
	await(t, fmt.Sprintf("the record of %s has %q", pod, want), func() (string, bool) {
		var found []string
		for _, a := range c.record(t, node, pod).Attachments {
			found = append(found, a.Device+strings.TrimPrefix(a.State, "attached"))
		}
		return fmt.Sprint(found), slices.Equal(found, want)
	})
}

// expectLeases expects so many addresses of the network data to be in use on a node.
func (c *testCluster) expectLeases(t *testing.T, node *cluster.Node, want int) {
	t.Helper()
	leases, err := filepath.Glob(node.Path("/var/lib/cni/networks/data/192.*"))
	if err != nil || len(leases) != want {
		t.Errorf("the leases on %s are %q (%v), want %d", node.Name(), leases, err, want)
	}
}

// agentRaces edits the annotations of Pods that start, end, or have their sandbox replaced
// meanwhile.
func (c *testCluster) agentRaces(t *testing.T, node *cluster.Node) {
	if node.Runtime() == cluster.Containerd { // CRI-O has no process for a sandbox; see the reboot
		// First, because the kubelet removes the old sandbox up to a minute later.
		t.Run("a sandbox that is made anew", func(t *testing.T) { c.editedInANewSandbox(t, node) })
	}
	t.Run("Pods that start", func(t *testing.T) { c.editedWhileStarting(t, node) })
	t.Run("Pods that end", func(t *testing.T) { c.deletedInAnEdit(t, node) })
	t.Run("a runtime that is away", func(t *testing.T) { c.editedWithoutRuntime(t, node) })
}

func (c *testCluster) editedWhileStarting(t *testing.T, node *cluster.Node) {
	var pods []string
	for n := range 4 {
		pod := fmt.Sprintf("early%d-%s", n, node.Name())
		before := records(t, node)
		c.apply(t, podManifest(pod, node.Name(), `[{"name": "green"}]`))
		if n%2 == 0 {
			awaitAnotherRecord(t, node, before)
		}
		c.annotate(t, pod, `[{"name": "data"}]`)
		pods = append(pods, pod)
	}
	for _, pod := range pods {
		c.ready(t, "pod/"+pod)
		c.awaitAttached(t, pod, data)
	}
}

// deletedInAnEdit deletes a Deployment's Pods right after an edit.
func (c *testCluster) deletedInAnEdit(t *testing.T, node *cluster.Node) {
	name := "deployed-" + node.Name()
	c.apply(t, workload("Deployment", name, node.Name(), `[{"name": "green"}]`, 1))
	c.rolledOut(t, "deployment/"+name)
	for n, how := range [][]string{{}, {"--grace-period=0", "--force"}} {
		pod := c.podNames(t, "app="+name)[0]
		c.annotate(t, pod, fmt.Sprintf(`[{"name": "data"}, {"name": "blue", "ifMac": "02:00:00:00:02:%02x"}]`,
			16*n+len(node.Name())))
		c.kubectl(t, append([]string{"delete", "pod", pod}, how...)...)
		await(t, "only another Pod is there", func() (string, bool) {
			pods := c.podNames(t, "app="+name)
			return fmt.Sprint(pods), len(pods) == 1 && pods[0] != pod
		})
		c.rolledOut(t, "deployment/"+name)
		c.awaitAttached(t, c.podNames(t, "app="+name)[0], green)
	}
}

// editedWithoutRuntime edits a Pod while the runtime is down, and again right before it starts.
func (c *testCluster) editedWithoutRuntime(t *testing.T, node *cluster.Node) {
	pod := c.podOn(t, node, "steady", greenAndData)
	before := c.identity(t, node, pod)
	if err := node.StopRuntime(); err != nil {
		t.Fatal(err)
	}
	c.annotate(t, pod, `[{"name": "data"}, {"name": "blue"}]`)
	_, netns := c.sandbox(t, node, pod)
	await(t, pod+" has other interfaces without the runtime", func() (string, bool) {
		found := interfacesIn(c.on(t, node, "nsenter", "--net="+netns, "ip", "-o", "link"))
		want := []string{"eth0", data, blue}
		slices.Sort(want)
		return fmt.Sprint(found), slices.Equal(found, want)
	})
	c.annotate(t, pod, `[{"name": "blue"}, {"name": "green"}]`)
	if err := node.StartRuntime(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.awaitAttached(t, pod, blue, green)
	c.ready(t, "pod/"+pod)
	c.expectSame(t, node, pod, before)
}

// editedInANewSandbox ends the sandbox of a Pod. The new one begins with what the annotation says
// then.
func (c *testCluster) editedInANewSandbox(t *testing.T, node *cluster.Node) {
	pod := c.podOn(t, node, "renewed", `[{"name": "green"}]`)
	before := c.identity(t, node, pod)
	c.annotate(t, pod, greenAndData)
	c.awaitAttached(t, pod, green, data)
	c.on(t, node, "ctr", "--namespace=k8s.io", "task", "kill", "--signal=SIGKILL", before.sandbox)
	c.annotate(t, pod, `[{"name": "data"}, {"name": "blue"}]`)
	await(t, pod+" has a new sandbox", func() (string, bool) {
		held := fmt.Sprint(records(t, node))
		return held, !strings.Contains(held, before.sandbox)
	})
	c.awaitAttached(t, pod, data, blue)
	c.annotate(t, pod, `[{"name": "blue"}]`)
	c.awaitAttached(t, pod, blue)
}

// secondAgent runs another agent on each node until the test ends, beside the installed one. It
// looks for lost interfaces more often.
func (c *testCluster) secondAgent(t *testing.T) {
	t.Helper()
	manifest, err := os.ReadFile(c.path("manifests/kactus-agent.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, daemonSet, _ := strings.Cut(string(manifest), "kind: DaemonSet")
	second := strings.NewReplacer(
		"name: kactus-agent", "name: second-agent",
		"- agent\n", "- agent\n            - -repair-every=2s\n            - -listen=127.0.0.1:9619\n",
		"port: 9618", "port: 9619",
	).Replace("apiVersion: apps/v1\nkind: DaemonSet" + daemonSet)
	c.apply(t, second)
	t.Cleanup(func() {
		// The Pods too: the controllers take a while to notice that the apiserver is back.
		for _, kind := range []string{"daemonset", "pods"} {
			if _, err := c.RunKubectl(context.Background(), "", "-n=kube-system", "delete", kind, "-l",
				"app.kubernetes.io/name=second-agent"); err != nil {
				t.Error(err)
			}
		}
	})
	c.rolledOut(t, "-n=kube-system", "daemonset/second-agent")
}

// agentsTogether runs two agents at once. One of them soon sees what the kernel has lost.
func (c *testCluster) agentsTogether(t *testing.T) {
	c.secondAgent(t)
	c.onEachNode(c.editedByTwoAgents)(t)
	c.apiserverAway(t)
}

func (c *testCluster) editedByTwoAgents(t *testing.T, node *cluster.Node) {
	pod := c.gatedPodOn(t, node, "shared", `[{"name": "green"}]`)
	before := c.identity(t, node, pod)
	for _, edit := range []struct {
		networks string
		want     []string
	}{
		{`[{"name": "blue"}, {"name": "data"}]`, []string{blue, data}},
		{`[{"name": "green"}, {"name": "data"}]`, []string{green, data}},
		{`[]`, nil},
		{`[{"name": "data"}, {"name": "green"}, {"name": "blue"}]`, []string{data, green, blue}},
	} {
		c.annotate(t, pod, edit.networks)
		c.awaitAttached(t, pod, edit.want...)
	}
	c.expectLeases(t, node, 1)
	_, netns := c.sandbox(t, node, pod)
	c.on(t, node, "nsenter", "--net="+netns, "ip", "link", "del", data)
	c.awaitAttached(t, pod, data, green, blue)
	c.expectEvents(t, pod, "AddedInterface lost")
	c.expectLeases(t, node, 1)
	c.ready(t, "pod/"+pod)
	c.expectSame(t, node, pod, before)
}

// apiserverAway takes the apiserver away, which changes no Pod, and kills the agents of a node
// meanwhile.
func (c *testCluster) apiserverAway(t *testing.T) {
	const long = 20 * time.Second
	var netns []string
	for _, node := range c.Nodes() {
		_, path := c.sandbox(t, node, "shared-"+node.Name())
		netns = append(netns, path)
	}
	before := c.additions(t)
	if err := c.StopAPIServer(); err != nil {
		t.Fatal(err)
	}
	c.killAgents(t, c.Nodes()[0])
	for begin := time.Now(); time.Since(begin) < long; time.Sleep(time.Second) {
		for n, node := range c.Nodes() {
			found := interfacesIn(c.on(t, node, "nsenter", "--net="+netns[n], "ip", "-o", "link"))
			if len(found) != 4 {
				t.Fatalf("without the apiserver, the Pod on %s has the interfaces %q", node.Name(), found)
			}
		}
	}
	must(t, c.StartAPIServer(t.Context()))
	must(t, c.RestartControllers(t.Context()))
	for _, node := range c.Nodes() {
		c.annotate(t, "shared-"+node.Name(), `[{"name": "green"}]`)
	}
	for _, node := range c.Nodes() {
		for _, port := range []string{"9618", "9619"} {
			await(t, "the agents of "+node.Name()+" are ready again", func() (string, bool) {
				ask := node.Command(t.Context(), "busybox", "wget", "-qO-", "http://127.0.0.1:"+port+"/readyz")
				out, err := ask.CombinedOutput()
				return string(out), err == nil
			})
		}
		c.awaitAttached(t, "shared-"+node.Name(), green)
	}
	// The agent that knew of the edit first removed two networks, which the others left alone.
	if now := c.additions(t); now != before {
		t.Errorf("interfaces that were added again:\n%s\nbefore:\n%s", now, before)
	}
}

// additions returns the events of interfaces that were added, by their names.
func (c *testCluster) additions(t *testing.T) string {
	t.Helper()
	return c.kubectl(t, "get", "events", "--field-selector", "reason=AddedInterface", "--sort-by=.metadata.name",
		"-o", `jsonpath={range .items[*]}{.metadata.name} {.message}{"\n"}{end}`)
}
