package system

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// awaitLimit is how long the cluster may take to reach a state by itself: a kubelet waits up to
// half a minute between retries.
const awaitLimit = 90 * time.Second

// The interface names of the networks that the tests use.
const (
	green = "net9f27410725ab"
	blue  = "net48d6215903df"
	data  = "net8d777f385d3d"
)

// kubectl runs kubectl as the administrator and returns its standard output without surrounding
// white space. Relative paths in args are relative to the source tree.
func (c *testCluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.RunKubectl(t.Context(), "", args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func (c *testCluster) apply(t *testing.T, manifests ...string) {
	t.Helper()
	if _, err := c.RunKubectl(t.Context(), strings.Join(manifests, "\n---\n"), "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

// on runs a command on a node and returns its output.
func (c *testCluster) on(t *testing.T, node *cluster.Node, name string, args ...string) string {
	t.Helper()
	out, err := node.Command(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q on %s: %v\n%s", name, args, node.Name(), err, out)
	}
	return strings.TrimSpace(string(out))
}

// await calls done until it returns true, and fails the test after awaitLimit. The string that done
// returns is for the failure message.
func await(t *testing.T, what string, done func() (string, bool)) {
	t.Helper()
	begin := time.Now()
	for {
		last, ok := done()
		if ok {
			return
		}
		waited := time.Since(begin)
		if waited > awaitLimit {
			t.Fatalf("%s: not within %s; last: %s", what, awaitLimit, last)
		}
		// A look mostly executes kubectl, and what the test waits for needs the processors, too.
		time.Sleep(min(max(waited/10, 100*time.Millisecond), time.Second))
	}
}

func (c *testCluster) nodesReady(t *testing.T) {
	t.Helper()
	c.kubectl(t, "wait", "--for=condition=Ready", "node", "--all", "--timeout=90s")
}

// ready waits until objects, named as for kubectl wait, are ready.
func (c *testCluster) ready(t *testing.T, args ...string) {
	t.Helper()
	c.kubectl(t, append([]string{"wait", "--for=condition=Ready", "--timeout=90s"}, args...)...)
}

// rolloutLimit is the limit on a rollout, two of which may be going on at once, on a busy machine.
const rolloutLimit = "180s"

// rolledOut waits until a rollout is complete, named as for kubectl rollout status.
func (c *testCluster) rolledOut(t *testing.T, args ...string) {
	t.Helper()
	c.kubectl(t, append([]string{"rollout", "status", "--timeout=" + rolloutLimit}, args...)...)
}

// podManifest returns the manifest of a Pod. An empty node means any node.
func podManifest(name, node, networks string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %s, annotations: {networks: %q}}
spec: %s`, name, networks, podSpec(node))
}

func podSpec(node string) string {
	if node != "" {
		node = "nodeName: " + node + ", "
	}
	return `{` + node + `terminationGracePeriodSeconds: 0, containers: [{name: c, image: "busybox:1"}]}`
}

// interfaces returns the names of a Pod's interfaces, without lo.
func (c *testCluster) interfaces(t *testing.T, pod string) []string {
	t.Helper()
	return interfacesIn(c.kubectl(t, "exec", pod, "--", "ip", "-o", "link"))
}

// interfacesIn returns the names of the interfaces that ip -o link shows, without lo.
func interfacesIn(shown string) []string {
	var found []string
	for line := range strings.Lines(shown) {
		name, _, _ := strings.Cut(strings.Fields(line)[1], "@")
		if name = strings.TrimSuffix(name, ":"); name != "lo" {
			found = append(found, name)
		}
	}
	slices.Sort(found) // the networks are attached in parallel
	return found
}

func (c *testCluster) expectInterfaces(t *testing.T, pod string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := c.interfaces(t, pod); !slices.Equal(got, want) {
		t.Errorf("%s has the interfaces %q, want %q", pod, got, want)
	}
}

// warnings returns the warnings in a Pod's events.
func (c *testCluster) warnings(t *testing.T, pod string) string {
	t.Helper()
	return c.kubectl(t, "get", "events", "--field-selector", "type=Warning,involvedObject.name="+pod, "-o",
		"jsonpath={range .items[*]}{.reason}: {.message}{\"\\n\"}{end}")
}

// awaitWarning waits until a line of a Pod's warnings contains all words.
func (c *testCluster) awaitWarning(t *testing.T, pod string, words ...string) {
	t.Helper()
	await(t, fmt.Sprintf("warning of %s with %q", pod, words), func() (string, bool) {
		warnings := c.warnings(t, pod)
		for line := range strings.Lines(warnings) {
			if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
				return warnings, true
			}
		}
		return warnings, false
	})
}

// podNames returns the names of the Pods with a label.
func (c *testCluster) podNames(t *testing.T, label string) []string {
	t.Helper()
	return strings.Fields(c.kubectl(t, "get", "pods", "-l", label, "-o", "jsonpath={.items[*].metadata.name}"))
}

// records returns the files of a node's ledger.
func records(t *testing.T, node *cluster.Node) []string {
	t.Helper()
	found, err := filepath.Glob(node.Path("/var/lib/cni/kactus/*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// awaitAnotherRecord waits until a node's ledger has a record that is not one of those.
func awaitAnotherRecord(t *testing.T, node *cluster.Node, before []string) {
	t.Helper()
	await(t, "another record on "+node.Name(), func() (string, bool) {
		now := records(t, node)
		return fmt.Sprint(now), slices.ContainsFunc(now, func(r string) bool { return !slices.Contains(before, r) })
	})
}

// left returns what a node has of Pods' networks: interfaces, network namespaces, leases and
// records.
func left(t *testing.T, node *cluster.Node) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"/var/lib/cni/kactus/*", "/var/lib/cni/flannel/*", "/var/lib/cni/networks/*/*"} {
		files, err := filepath.Glob(node.Path(pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if name := filepath.Base(file); name != "lock" && !strings.HasPrefix(name, "last_reserved_ip.") {
				found = append(found, file)
			}
		}
	}
	out, err := node.Command(t.Context(), "ip", "-json", "link").Output()
	if err != nil {
		t.Fatal(err)
	}
	var links []struct{ IfName string }
	if err := json.Unmarshal(out, &links); err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		switch link.IfName {
		case "lo", "eth0", "cni0", "data-br", "default-br": // the node's own, and bridges, which stay
		default:
			found = append(found, "interface "+link.IfName)
		}
	}
	netns, err := filepath.Glob(fmt.Sprintf("/proc/%d/root/run/netns/*", node.PID()))
	if err != nil {
		t.Fatal(err)
	}
	// CRI-O keeps one for a Pod with hostNetwork too: the node's own.
	own, err := os.Stat(fmt.Sprintf("/proc/%d/ns/net", node.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range netns {
		if info, err := os.Stat(file); err != nil || !os.SameFile(info, own) {
			found = append(found, file)
		}
	}
	return found
}

// onEachNode returns a test that runs another one for each node, and so for each runtime, all at
// once. The networks exist already.
func (c *testCluster) onEachNode(test func(*testing.T, *cluster.Node)) func(*testing.T) {
	return func(t *testing.T) {
		c.networks(t)
		c.onNodes(test)(t)
	}
}

// onNodes returns a test that runs another one for each node, all at once.
func (c *testCluster) onNodes(test func(*testing.T, *cluster.Node)) func(*testing.T) {
	return func(t *testing.T) {
		t.Run("on", func(t *testing.T) {
			for _, node := range c.Nodes() {
				t.Run(string(node.Runtime()), func(t *testing.T) {
					t.Parallel()
					test(t, node)
				})
			}
		})
	}
}

// crioNode returns the node that has CRI-O.
func (c *testCluster) crioNode(t *testing.T) *cluster.Node {
	t.Helper()
	for _, node := range c.Nodes() {
		if node.Runtime() == cluster.CRIO {
			return node
		}
	}
	t.Fatal("no node has CRI-O")
	return nil
}

// podOn starts a Pod on a node and waits until it is ready. Its name is derived from the node's.
func (c *testCluster) podOn(t *testing.T, node *cluster.Node, prefix, networks string) string {
	t.Helper()
	name := prefix + "-" + node.Name()
	c.apply(t, podManifest(name, node.Name(), networks))
	c.ready(t, "pod/"+name)
	return name
}

// cleanUp deletes everything that a test created, and waits until nothing of it is left on the
// nodes.
func (c *testCluster) cleanUp(t *testing.T) {
	t.Helper()
	c.kubectl(t, "delete", "deployments,statefulsets,pods,networks.kaloom.com", "--all", "--timeout=90s")
	c.kubectl(t, "delete", "--raw=/api/v1/namespaces/default/events") // in one request, not one for each
	c.nothingLeft(t)
}

func (c *testCluster) nothingLeft(t *testing.T) {
	t.Helper()
	for _, node := range c.Nodes() {
		c.nothingLeftOn(t, node)
	}
}

func (c *testCluster) nothingLeftOn(t *testing.T, node *cluster.Node) {
	t.Helper()
	await(t, "nothing is left of the Pods on "+node.Name(), func() (string, bool) {
		found := left(t, node)
		return strings.Join(found, "\n"), len(found) == 0
	})
}
