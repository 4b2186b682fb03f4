package system

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// networks creates green and blue, macvlan networks, and data, a bridge network with leases.
func (c *testCluster) networks(t *testing.T) {
	t.Helper()
	c.kubectl(t, "apply", "-f", "examples/macvlan", "-f", "examples/data-net.yaml")
}

const greenAndData = `[{"name": "green"}, {"name": "data"}]`

func (c *testCluster) noAnnotation(t *testing.T, node *cluster.Node) {
	pod := "plain-" + node.Name()
	c.apply(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: "+pod+"}\nspec: "+podSpec(node.Name()))
	c.ready(t, "pod/"+pod)
	c.expectInterfaces(t, pod, "eth0")
	if log := c.on(t, node, "cat", logPath); !strings.Contains(log, "default/"+pod) {
		t.Errorf("the log on %s does not name the Pod:\n%s", node.Name(), log)
	}
	if mode := c.on(t, node, "stat", "-c", "%a", logPath); mode != "600" {
		t.Errorf("the mode of the log on %s is %s", node.Name(), mode)
	}
}

// node returns the node of a Pod.
func (c *testCluster) node(t *testing.T, pod string) *cluster.Node {
	t.Helper()
	name := c.kubectl(t, "get", pod, "-o", "jsonpath={.spec.nodeName}")
	for _, node := range c.Nodes() {
		if node.Name() == name {
			return node
		}
	}
	t.Fatalf("%s is on an unknown node: %q", pod, name)
	return nil
}

// workload returns the manifest of a Deployment or a StatefulSet. An empty node means any node.
func workload(kind, name, node, networks string, replicas int) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: %s
metadata: {name: %s}
spec:
  replicas: %d
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s}, annotations: {networks: %[4]q}}
    spec: %[5]s`, kind, name, replicas, networks, podSpec(node))
}

func (c *testCluster) replicas(t *testing.T) {
	const count = 20
	c.networks(t)
	c.apply(t, workload("Deployment", "many", "", greenAndData, count))
	c.rolledOut(t, "deployment/many")
	seen := make(map[string]bool)
	for _, pod := range c.podNames(t, "app=many") {
		if name := c.node(t, "pod/"+pod).Name(); !seen[name] {
			seen[name] = true
			c.expectInterfaces(t, pod, "eth0", green, data)
		}
	}
	if len(seen) != len(c.Nodes()) {
		t.Errorf("the Pods are on %v only", seen)
	}
	held := 0
	for _, node := range c.Nodes() {
		held += len(records(t, node))
	}
	if held != count {
		t.Errorf("the ledgers have %d records, want %d", held, count)
	}
	c.kubectl(t, "scale", "deployment/many", "--replicas=0")
	c.nothingLeft(t)
}

// statefulSet replaces Pods of a StatefulSet. Each begins with what the template says, whatever the
// annotation of its predecessor became.
func (c *testCluster) statefulSet(t *testing.T, node *cluster.Node) {
	set := "web-" + node.Name()
	pod := set + "-0"
	mac := fmt.Sprintf("02:00:00:00:03:%02x", node.IP()[len(node.IP())-1])
	withMAC := `[{"name": "green", "ifMac": "` + mac + `"}, {"name": "data"}]`
	hasMAC := func(shown string) bool { return strings.Contains(shown, mac) }
	c.apply(t, workload("StatefulSet", set, node.Name(), withMAC, 1))
	c.rolledOut(t, "statefulset/"+set)
	for _, how := range [][]string{{}, {"--grace-period=0", "--force"}} {
		before := c.uid(t, pod)
		c.annotate(t, pod, strings.Replace(withMAC, "data", "blue", 1))
		c.awaitAttached(t, pod, green, blue)
		c.kubectl(t, append([]string{"delete", "pod", pod}, how...)...)
		await(t, "a new "+pod+" exists", func() (string, bool) {
			uid, err := c.Kubectl(t.Context(), "get", "pod", pod, "-o", "jsonpath={.metadata.uid}").Output()
			return string(uid), err == nil && string(uid) != before
		})
		c.ready(t, "pod/"+pod)
		c.expectInterfaces(t, pod, "eth0", green, data)
		c.awaitInPod(t, "the MAC address "+mac, pod, hasMAC, "link", "show", "dev", green)
	}
	await(t, "the ledger has a record of the new Pod only", func() (string, bool) {
		held := records(t, node)
		return fmt.Sprint(held), len(held) == 1
	})
}

// statefulSetMoves moves a Pod to the node of the other runtime, and back, where its annotation is
// edited each time.
func (c *testCluster) statefulSetMoves(t *testing.T) {
	c.networks(t)
	nodes := c.Nodes()
	const set, pod, mac = "moving", "moving-0", "02:00:00:00:04:01"
	withMAC := `[{"name": "green", "ifMac": "` + mac + `"}]`
	c.apply(t, workload("StatefulSet", set, nodes[0].Name(), withMAC, 1))
	for n, node := range []*cluster.Node{nodes[0], nodes[1], nodes[0]} {
		if n > 0 {
			c.kubectl(t, "patch", "statefulset", set, "-p",
				`{"spec": {"template": {"spec": {"nodeName": "`+node.Name()+`"}}}}`)
		}
		c.rolledOut(t, "statefulset/"+set)
		if on := c.kubectl(t, "get", "pod", pod, "-o", "jsonpath={.spec.nodeName}"); on != node.Name() {
			t.Fatalf("%s is on %s; want %s", pod, on, node.Name())
		}
		c.annotate(t, pod, `[{"name": "data"}, `+withMAC[1:])
		c.awaitAttached(t, pod, green, data)
		c.awaitInPod(t, "the MAC address "+mac, pod, func(shown string) bool { return strings.Contains(shown, mac) },
			"link", "show", "dev", green)
	}
}

func (c *testCluster) uid(t *testing.T, pod string) string {
	t.Helper()
	return c.kubectl(t, "get", "pod", pod, "-o", "jsonpath={.metadata.uid}")
}

// deletedWhileCreated deletes each Pod as soon as kactus has written its record, with and without a
// grace period.
func (c *testCluster) deletedWhileCreated(t *testing.T, node *cluster.Node) {
	for n := range 8 {
		name := fmt.Sprintf("brief%d-%s", n, node.Name())
		before := records(t, node)
		c.apply(t, podManifest(name, node.Name(), greenAndData))
		awaitAnotherRecord(t, node, before)
		if n%2 == 0 {
			c.kubectl(t, "delete", "pod", name, "--grace-period=0", "--force")
		} else {
			c.kubectl(t, "delete", "pod", name)
		}
	}
	c.nothingLeftOn(t, node)
}

func (c *testCluster) malformedAnnotation(t *testing.T, node *cluster.Node) {
	name := "typo-" + node.Name()
	c.apply(t, workload("Deployment", name, node.Name(), `[{"name": "green"}, {"nam": "data"}]`, 1))
	var pod string
	await(t, "the Deployment has a Pod", func() (string, bool) {
		pods := c.podNames(t, "app="+name)
		if len(pods) > 0 {
			pod = pods[0]
		}
		return "", len(pods) == 1
	})
	c.awaitWarning(t, pod, "networks", "default/"+pod, "element 1", "nam")
	c.apply(t, workload("Deployment", name, node.Name(), greenAndData, 1))
	c.rolledOut(t, "deployment/"+name)
	c.expectInterfaces(t, "deployment/"+name, "eth0", green, data)
}

// networkLater creates the Networks once both nodes have reported that one is missing.
func (c *testCluster) networkLater(t *testing.T) {
	for _, node := range c.Nodes() {
		c.apply(t, podManifest("early-"+node.Name(), node.Name(), greenAndData))
	}
	for _, node := range c.Nodes() {
		c.awaitWarning(t, "early-"+node.Name(), "Network", "green")
	}
	c.networks(t)
	for _, node := range c.Nodes() {
		c.ready(t, "pod/early-"+node.Name())
		c.expectInterfaces(t, "early-"+node.Name(), "eth0", green, data)
	}
}

// hostPort asks a node from another one. CRI-O maps the port by itself, containerd by portmap.
func (c *testCluster) hostPort(t *testing.T, node *cluster.Node) {
	pod := "port-" + node.Name()
	c.apply(t, fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  nodeName: %s
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: busybox:1
    command: [sh, -c, 'echo hello >index.html; exec httpd -f -p 80']
    ports: [{containerPort: 80, hostPort: 8080}]`, pod, node.Name()))
	c.ready(t, "pod/"+pod)
	other := c.Nodes()[0]
	if other == node {
		other = c.Nodes()[1]
	}
	await(t, "the other node reaches the Pod at its node's address", func() (string, bool) {
		ask := other.Command(t.Context(), "busybox", "nc", "-w", "2", node.IP().String(), "8080")
		ask.Stdin = strings.NewReader("GET / HTTP/1.0\r\n\r\n")
		out, err := ask.CombinedOutput()
		return string(out), err == nil && strings.HasSuffix(string(out), "hello\n")
	})
}
