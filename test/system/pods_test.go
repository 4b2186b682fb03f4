package system

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// networks creates green, a macvlan network, and data, a bridge network with leases.
func (c *testCluster) networks(t *testing.T) {
	t.Helper()
	c.kubectl(t, "apply", "-f", "examples/macvlan/green-net.yaml", "-f", "examples/data-net.yaml")
}

const greenAndData = `[{"name": "green"}, {"name": "data"}]`

func (c *testCluster) noAnnotation(t *testing.T) {
	c.apply(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: plain}\nspec: "+podSpec(""))
	c.ready(t, "pod/plain")
	c.expectInterfaces(t, "plain", "eth0")
	node := c.node(t, "pod/plain")
	if log := c.on(t, node, "cat", logPath); !strings.Contains(log, "default/plain") {
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

// workload returns the manifest of a Deployment or a StatefulSet.
func workload(kind, name, networks string, replicas int) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: %s
metadata: {name: %s}
spec:
  replicas: %d
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s}, annotations: {networks: %[4]q}}
    spec: %[5]s`, kind, name, replicas, networks, podSpec(""))
}

func (c *testCluster) replicas(t *testing.T) {
	const count = 20
	c.networks(t)
	c.apply(t, workload("Deployment", "many", greenAndData, count))
	c.rolledOut(t, "deployment/many")
	for _, pod := range c.podNames(t, "app=many")[:3] {
		c.expectInterfaces(t, pod, "eth0", green, data)
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

func (c *testCluster) statefulSet(t *testing.T) {
	c.networks(t)
	c.apply(t, workload("StatefulSet", "web", greenAndData, 1))
	c.rolledOut(t, "statefulset/web")
	for _, how := range [][]string{{}, {"--grace-period=0", "--force"}} {
		before := c.uid(t, "web-0")
		c.kubectl(t, append([]string{"delete", "pod", "web-0"}, how...)...)
		await(t, "a new web-0 exists", func() (string, bool) {
			uid, err := c.Kubectl(t.Context(), "get", "pod", "web-0", "-o", "jsonpath={.metadata.uid}").Output()
			return string(uid), err == nil && string(uid) != before
		})
		c.ready(t, "pod/web-0")
		c.expectInterfaces(t, "web-0", "eth0", green, data)
	}
	await(t, "the ledgers have a record of the new Pod only", func() (string, bool) {
		var all []string
		for _, node := range c.Nodes() {
			all = append(all, records(t, node)...)
		}
		return fmt.Sprint(all), len(all) == 1
	})
}

func (c *testCluster) uid(t *testing.T, pod string) string {
	t.Helper()
	return c.kubectl(t, "get", "pod", pod, "-o", "jsonpath={.metadata.uid}")
}

// deletedWhileCreated deletes each Pod as soon as kactus has written its record, with and without a
// grace period.
func (c *testCluster) deletedWhileCreated(t *testing.T) {
	c.networks(t)
	node := c.Nodes()[0]
	for n := range 8 {
		name := "brief" + strconv.Itoa(n)
		before := records(t, node)
		c.apply(t, podManifest(name, node.Name(), greenAndData))
		await(t, "a record of "+name, func() (string, bool) {
			now := records(t, node)
			return fmt.Sprint(now), slices.ContainsFunc(now, func(r string) bool { return !slices.Contains(before, r) })
		})
		if n%2 == 0 {
			c.kubectl(t, "delete", "pod", name, "--grace-period=0", "--force")
		} else {
			c.kubectl(t, "delete", "pod", name)
		}
	}
	c.nothingLeft(t)
}

func (c *testCluster) malformedAnnotation(t *testing.T) {
	c.networks(t)
	c.apply(t, workload("Deployment", "typo", `[{"name": "green"}, {"nam": "data"}]`, 1))
	var pod string
	await(t, "the Deployment has a Pod", func() (string, bool) {
		pods := c.podNames(t, "app=typo")
		if len(pods) > 0 {
			pod = pods[0]
		}
		return "", len(pods) == 1
	})
	c.awaitWarning(t, pod, "networks", "default/"+pod, "element 1", `"nam"`)
	c.apply(t, workload("Deployment", "typo", greenAndData, 1))
	c.rolledOut(t, "deployment/typo")
	c.expectInterfaces(t, "deployment/typo", "eth0", green, data)
}

func (c *testCluster) networkLater(t *testing.T) {
	c.apply(t, podManifest("early", "", greenAndData))
	c.awaitWarning(t, "early", "Network", "green")
	c.networks(t)
	c.ready(t, "pod/early")
	c.expectInterfaces(t, "early", "eth0", green, data)
}

func (c *testCluster) hostPort(t *testing.T) {
	one, two := c.Nodes()[0], c.Nodes()[1]
	c.apply(t, fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  nodeName: %s
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: busybox:1
    command: [sh, -c, 'echo hello >index.html; exec httpd -f -p 80']
    ports: [{containerPort: 80, hostPort: 8080}]`, one.Name()))
	c.ready(t, "pod/web")
	await(t, "the other node reaches the Pod at its node's address", func() (string, bool) {
		ask := two.Command(t.Context(), "busybox", "nc", "-w", "2", one.IP().String(), "8080")
		ask.Stdin = strings.NewReader("GET / HTTP/1.0\r\n\r\n")
		out, err := ask.CombinedOutput()
		return string(out), err == nil && strings.HasSuffix(string(out), "hello\n")
	})
}
