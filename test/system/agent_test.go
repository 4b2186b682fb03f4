package system

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// readinessGate is the condition that the node agent sets.
const readinessGate = "kaloom.com/NetworksAttached"

// gatedPodManifest returns the manifest of a Pod that is ready once its networks are there.
func gatedPodManifest(name, node, networks string) string {
	return strings.Replace(podManifest(name, node, networks), "spec: {",
		"spec: {readinessGates: [{conditionType: "+readinessGate+"}], ", 1)
}

// gatedPodOn starts a Pod on a node and waits until its networks are there. Its name is derived
// from the node's.
func (c *testCluster) gatedPodOn(t *testing.T, node *cluster.Node, prefix, networks string) string {
	t.Helper()
	name := prefix + "-" + node.Name()
	c.apply(t, gatedPodManifest(name, node.Name(), networks))
	c.ready(t, "pod/"+name)
	return name
}

// annotate edits a Pod's annotation, as users do.
func (c *testCluster) annotate(t *testing.T, pod, networks string) {
	t.Helper()
	c.kubectl(t, "annotate", "--overwrite", "pod", pod, "networks="+networks)
}

// awaitInPod waits until what ip shows in a Pod is as expected.
func (c *testCluster) awaitInPod(t *testing.T, what, pod string, expected func(shown string) bool, args ...string) {
	t.Helper()
	await(t, pod+" has "+what, func() (string, bool) {
		out, err := c.Kubectl(t.Context(), append([]string{"exec", pod, "--", "ip", "-o"}, args...)...).CombinedOutput()
		return string(out), err == nil && expected(string(out))
	})
}

// awaitInterfaces waits until a Pod has these interfaces and no other, except lo.
func (c *testCluster) awaitInterfaces(t *testing.T, pod string, want ...string) {
	t.Helper()
	slices.Sort(want)
	c.awaitInPod(t, fmt.Sprintf("the interfaces %q", want), pod, func(shown string) bool {
		return slices.Equal(interfacesIn(shown), want)
	}, "link")
}

// A condition is that of a Pod which the node agent sets.
type condition struct{ Status, Reason, Message string }

func (c *testCluster) condition(t *testing.T, pod string) condition {
	t.Helper()
	var found condition
	shown := c.kubectl(t, "get", "pod", pod, "-o", `jsonpath={.status.conditions[?(@.type=="`+readinessGate+`")]}`)
	if shown != "" {
		if err := json.Unmarshal([]byte(shown), &found); err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// awaitCondition waits until the node agent's condition of a Pod has that reason and a message with
// all words. It is true only if the reason is that all is attached.
func (c *testCluster) awaitCondition(t *testing.T, pod, reason string, words ...string) {
	t.Helper()
	await(t, fmt.Sprintf("%s has the condition %s with %q", pod, reason, words), func() (string, bool) {
		got := c.condition(t, pod)
		if (got.Status == "True") != (got.Reason == "Attached") {
			t.Fatalf("the condition of %s is %+v", pod, got)
		}
		return fmt.Sprintf("%+v", got), got.Reason == reason &&
			!slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(got.Message, word) })
	})
}

// awaitAttached waits until a Pod has these interfaces beside eth0, and until the agent says so.
func (c *testCluster) awaitAttached(t *testing.T, pod string, want ...string) {
	t.Helper()
	c.awaitInterfaces(t, pod, append([]string{"eth0"}, want...)...)
	c.awaitCondition(t, pod, "Attached")
}

// An identity is what an edit of a Pod's annotation must leave as it is.
type identity struct{ sandbox, eth0, restarts, uid string }

func (c *testCluster) identity(t *testing.T, node *cluster.Node, pod string) identity {
	t.Helper()
	id, _ := c.sandbox(t, node, pod)
	return identity{
		sandbox:  id,
		eth0:     c.kubectl(t, "exec", pod, "--", "ip", "-o", "addr", "show", "dev", "eth0"),
		restarts: c.kubectl(t, "get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].restartCount}"),
		uid:      c.uid(t, pod),
	}
}

// expectSame expects that a Pod is the one that it was, and was never started again.
func (c *testCluster) expectSame(t *testing.T, node *cluster.Node, pod string, before identity) {
	t.Helper()
	if now := c.identity(t, node, pod); now != before || now.restarts != "0" {
		t.Errorf("%s is %+v, was %+v", pod, now, before)
	}
}

// deviceName asks kactus on a node for the name of the interface of a network.
func (c *testCluster) deviceName(t *testing.T, node *cluster.Node, network string) string {
	t.Helper()
	name, _, _ := strings.Cut(c.on(t, node, "/opt/cni/bin/kactus", "device-name", network), " ")
	return name
}

// networkManifest returns the manifest of a Network with a bridge that all of them share.
func networkManifest(namespace, name, ipam string) string {
	return fmt.Sprintf(`apiVersion: kaloom.com/v1
kind: Network
metadata: {name: %s, namespace: %s}
spec: {plugin: bridge, config: '{"bridge": "data-br", %s}'}`, name, namespace, ipam)
}

// Two Networks whose addresses tell what is attached: one of which a Pod requests the address, and
// another green.
var (
	fixedNetwork = networkManifest("default", "fixed", `"capabilities": {"ips": true}, "ipam": {"type": "static"}`)
	otherGreen   = networkManifest("other", "green",
		`"ipam": {"type": "host-local", "ranges": [[{"subnet": "192.168.46.0/24"}]]}`)
)

// agentEdits edits the annotations of running Pods.
func (c *testCluster) agentEdits(t *testing.T) {
	c.apply(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: other}", fixedNetwork, otherGreen)
	defer c.kubectl(t, "delete", "namespace", "other", "--wait=false")
	c.onEachNode(func(t *testing.T, node *cluster.Node) {
		t.Run("edits", func(t *testing.T) {
			t.Parallel()
			c.editsWithoutNetworks(t, node)
			c.editsBesideNetworks(t, node)
		})
		t.Run("a delegate that fails ten times", func(t *testing.T) {
			t.Parallel()
			c.delegateThatFails(t, node)
		})
	})(t)
}

// delegateThatFails adds a network whose plugin fails ten times, beside another network, which
// works meanwhile.
func (c *testCluster) delegateThatFails(t *testing.T, node *cluster.Node) {
	const failures, plugin = 10, "/opt/cni/bin/flaky"
	count := node.Path("/var/lib/cni/flaky-failures")
	script := fmt.Sprintf(`#!/bin/sh
if [ "$CNI_COMMAND" = ADD ] && [ "$(cat /var/lib/cni/flaky-failures 2>/dev/null | wc -l)" -lt %d ]; then
	echo >>/var/lib/cni/flaky-failures
	echo '{"code": 77, "msg": "no such uplink"}'
	exit 1
fi
exec /opt/cni/bin/bridge
`, failures)
	if err := os.WriteFile(node.Path(plugin), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(count)
	defer os.Remove(node.Path(plugin))
	network := "flaky-" + node.Name()
	ifName := c.deviceName(t, node, network)
	c.apply(t, strings.Replace(networkManifest("default", network, `"ipam": {}`), "bridge", "flaky", 1))
	pod := c.podOn(t, node, "patient", "[]")
	errors := `kactus_agent_operations_total{operation="ADD",result="error"}`
	before := c.metric(t, node, errors)

	c.annotate(t, pod, `[{"name": "`+network+`"}, {"name": "data"}]`)
	c.awaitInterfaces(t, pod, "eth0", data)
	c.awaitCondition(t, pod, "FailedAddingInterface", network, "no such uplink")
	for n := range failures {
		await(t, fmt.Sprintf("failure %d of the plugin", n+1), func() (string, bool) {
			failed, _ := os.ReadFile(count)
			return fmt.Sprint(len(failed)), len(failed) > n
		})
	}
	c.awaitAttached(t, pod, data, ifName)
	c.expectEvents(t, pod, "FailedAddingInterface "+network, "AddedInterface "+ifName)
	await(t, "an event that counts the failures", func() (string, bool) {
		counts := c.kubectl(t, "get", "events.events.k8s.io", "-o",
			`jsonpath={range .items[?(@.regarding.name=="`+pod+`")]}{.reason} {.series.count}{"\n"}{end}`)
		return counts, strings.Contains(counts, fmt.Sprintf("FailedAddingInterface %d", failures))
	})
	if after := c.metric(t, node, errors); after < before+failures {
		t.Errorf("%s: %d, was %d", errors, after, before)
	}
	c.kubectl(t, "delete", "pod", pod)
	await(t, "the plugin is needed no longer", func() (string, bool) {
		for _, file := range records(t, node) {
			if record, err := os.ReadFile(file); err == nil && strings.Contains(string(record), pod) {
				return file, false
			}
		}
		return "", true
	})
}

// metric asks the agent on a node for a metric that is a whole number.
func (c *testCluster) metric(t *testing.T, node *cluster.Node, name string) int {
	t.Helper()
	metrics := c.on(t, node, "busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:9618/metrics")
	for line := range strings.Lines(metrics) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			number, err := strconv.Atoi(value)
			if err != nil {
				t.Fatal(err)
			}
			return number
		}
	}
	t.Fatalf("the agent on %s has no metric %s", node.Name(), name)
	return 0
}

// editsWithoutNetworks edits a Pod that had no annotation when it started.
func (c *testCluster) editsWithoutNetworks(t *testing.T, node *cluster.Node) {
	pod := "bare-" + node.Name()
	c.apply(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: "+pod+"}\nspec: "+podSpec(node.Name()))
	c.ready(t, "pod/"+pod)
	before := c.identity(t, node, pod)
	fixed := c.deviceName(t, node, "fixed")
	mac := fmt.Sprintf("02:00:00:00:01:%02x", node.IP()[len(node.IP())-1])

	for _, edit := range []struct {
		what, networks string
		want           []string
		command, shown string // what a command of ip shows then
	}{
		{"a network", `[{"name": "data"}]`, []string{data}, "address", "192.168.44."},
		{"another network instead", `[{"name": "green"}]`, []string{green}, "", ""},
		{"a MAC address", `[{"name": "green", "ifMac": "` + mac + `"}]`, []string{green}, "link", mac},
		{"a network of the same name in another namespace", `[{"name": "green", "namespace": "other"}]`,
			[]string{green}, "address", "192.168.46."},
		{"an address", `[{"name": "fixed", "ips": ["192.168.45.7/24"]}]`, []string{fixed},
			"address", "192.168.45.7/24"},
		{"another address, and a network in front",
			`[{"name": "blue"}, {"name": "fixed", "ips": ["192.168.45.8/24"]}]`, []string{blue, fixed},
			"address", "192.168.45.8/24"},
		{"nothing", "[]", nil, "", ""},
	} {
		c.annotate(t, pod, edit.networks)
		if edit.shown != "" {
			c.awaitInPod(t, edit.what, pod, func(shown string) bool { return strings.Contains(shown, edit.shown) },
				edit.command)
		}
		c.awaitAttached(t, pod, edit.want...)
	}
	c.expectSame(t, node, pod, before)
	c.expectEvents(t, pod, "AddedInterface "+data, "RemovedInterface "+data, "AddedInterface "+fixed,
		"AddedInterface "+blue)
}

// expectEvents waits until a Pod has events: a reason, and the interface in the message, each.
func (c *testCluster) expectEvents(t *testing.T, pod string, want ...string) {
	t.Helper()
	await(t, fmt.Sprintf("events of %s: %q", pod, want), func() (string, bool) {
		shown := c.kubectl(t, "get", "events", "--field-selector", "involvedObject.name="+pod, "-o",
			`jsonpath={range .items[*]}{.reason} {.message}{"\n"}{end}`)
		return shown, !slices.ContainsFunc(want, func(event string) bool {
			reason, word, _ := strings.Cut(event, " ")
			return !slices.ContainsFunc(strings.Split(shown, "\n"), func(line string) bool {
				return strings.HasPrefix(line, reason+" ") && strings.Contains(line, word)
			})
		})
	})
}

// editsBesideNetworks edits a Pod that had networks when it started, and that is ready if, and only
// if, the networks of its annotation are there.
func (c *testCluster) editsBesideNetworks(t *testing.T, node *cluster.Node) {
	const skipped = `{"name": "blue", "podagentSkip": true}`
	pod := c.gatedPodOn(t, node, "gated", `[{"name": "green"}, `+skipped+`]`)
	c.expectInterfaces(t, pod, "eth0", green, blue)
	before := c.identity(t, node, pod)
	later := "later-" + node.Name()
	laterName := c.deviceName(t, node, later)

	c.annotate(t, pod, `[{"name": "green"}, {"name": "data"}, `+skipped+`]`)
	c.awaitAttached(t, pod, green, data, blue)
	// What came from an element with podagentSkip stays, whatever the annotation says.
	c.annotate(t, pod, `[{"name": "data"}]`)
	c.awaitAttached(t, pod, data, blue)

	c.annotate(t, pod, `[{"name": "green"}, {"nam": "data"}]`)
	c.awaitCondition(t, pod, "InvalidAnnotation", "element 1", "nam")
	c.kubectl(t, "wait", "--for=condition=Ready=false", "--timeout=60s", "pod/"+pod)
	c.expectInterfaces(t, pod, "eth0", data, blue)

	c.annotate(t, pod, `[{"name": "`+later+`"}, {"name": "green"}]`)
	c.awaitInterfaces(t, pod, "eth0", green, blue)
	c.awaitCondition(t, pod, "FailedAddingInterface", later)
	c.awaitWarning(t, pod, "FailedAddingInterface", later)
	c.kubectl(t, "wait", "--for=condition=Ready=false", "--timeout=60s", "pod/"+pod)
	c.apply(t, networkManifest("default", later, `"ipam": {}`))
	c.ready(t, "pod/"+pod)
	c.expectInterfaces(t, pod, "eth0", green, blue, laterName)

	// The default network is that of the start.
	c.annotate(t, pod, `[{"name": "green", "isPrimary": true}, {"name": "data"}]`)
	c.awaitInterfaces(t, pod, "eth0", green, data, blue)
	c.kubectl(t, "annotate", "pod", pod, "networks-")
	c.awaitAttached(t, pod, blue)
	c.ready(t, "pod/"+pod)
	c.expectSame(t, node, pod, before)
}
