package cluster_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// pairOfPods has two Pods on different nodes, each of which writes a file that only its node may
// see.
const pairOfPods = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: pair}
spec:
  replicas: 2
  selector: {matchLabels: {app: pair}}
  template:
    metadata: {labels: {app: pair}}
    spec:
      terminationGracePeriodSeconds: 0
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - {labelSelector: {matchLabels: {app: pair}}, topologyKey: kubernetes.io/hostname}
      containers:
      - name: c
        image: busybox:1
        command: [sh, -c, 'echo "this is $POD"; echo "$NODE" >/cni/marker; exec sleep infinity']
        env:
        - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
        volumeMounts: [{name: cni, mountPath: /cni}]
      volumes: [{name: cni, hostPath: {path: /etc/cni/net.d}}]
`

func TestStartNodes_RunsPods(t *testing.T) {
	binaries := build(t, cluster.ClusterParts(cluster.Runtimes()...)...)
	t.Setenv("TMPDIR", t.TempDir())
	before := traces(t, "")
	c, err := cluster.StartNodes(t.Context(), cluster.NodesOptions{Options: cluster.Options{Binaries: binaries},
		Runtimes: cluster.Runtimes(), CNI: cluster.BridgeCNI})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})

	t.Run("the nodes are ready", func(t *testing.T) { testReady(t, c) })
	t.Run("Pods run on different nodes and reach each other", func(t *testing.T) { testPair(t, c) })
	t.Run("each node has files of its own", func(t *testing.T) { testHostPath(t, c) })
	t.Run("an image made by the test runs", func(t *testing.T) { testImage(t, c) })
	t.Run("Pods survive a restart of the runtime and the kubelet", func(t *testing.T) { testRestart(t, c) })
	t.Run("Pods start again after a reboot", func(t *testing.T) { testReboot(t, c) })
	t.Run("Pods survive an outage of the apiserver", func(t *testing.T) { testNodesOutage(t, c) })
	t.Run("nothing is left after Stop", func(t *testing.T) { testNodesStop(t, c, before) })
}

func testReady(t *testing.T, c *cluster.Cluster) {
	kubectl(t, c, "wait", "--for=condition=Ready", "--timeout=0", "node", "--all")
	names := kubectl(t, c, "get", "nodes", "-o", "jsonpath={.items[*].metadata.name}")
	if names != "node1 node2" {
		t.Errorf("the nodes are %q; want node1 and node2", names)
	}
	versions := kubectl(t, c, "get", "nodes", "-o", "jsonpath={.items[*].status.nodeInfo.containerRuntimeVersion}")
	one, two, _ := strings.Cut(versions, " ")
	if !strings.HasPrefix(one, "containerd://") || !strings.HasPrefix(two, "cri-o://") {
		t.Errorf("the runtimes are %q; want containerd and CRI-O", versions)
	}
}

func testPair(t *testing.T, c *cluster.Cluster) {
	if _, err := c.RunKubectl(t.Context(), pairOfPods, "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	kubectl(t, c, "rollout", "status", "deployment/pair", "--timeout=180s")
	pods := pair(t, c)
	one, two := pods[0], pods[1]
	if one.node == two.node {
		t.Errorf("both Pods are on %s", one.node)
	}
	out := kubectl(t, c, "exec", one.name, "--", "ping", "-c", "1", "-W", "5", two.ip)
	if !strings.Contains(out, "1 packets received") {
		t.Errorf("ping from one Pod to the other: %s", out)
	}
	if got, want := kubectl(t, c, "logs", two.name), "this is "+two.name; got != want {
		t.Errorf("the log of the Pod: %q; want %q", got, want)
	}
	// The Service kubernetes works without kube-proxy.
	kubectl(t, c, "exec", one.name, "--", "sh", "-c",
		`nc -w 5 "$KUBERNETES_SERVICE_HOST" "$KUBERNETES_SERVICE_PORT" </dev/null`)
}

func testHostPath(t *testing.T, c *cluster.Cluster) {
	for _, node := range c.Nodes() {
		marker, err := os.ReadFile(node.Path("/etc/cni/net.d/marker"))
		if err != nil || strings.TrimSpace(string(marker)) != node.Name() {
			t.Errorf("the marker on %s: %q, %v", node.Name(), marker, err)
		}
		seen, err := node.Command(t.Context(), "cat", "/etc/cni/net.d/marker", "/etc/hostname").Output()
		if want := strings.Repeat(node.Name()+"\n", 2); err != nil || string(seen) != want {
			t.Errorf("%s sees %q, %v; want %q", node.Name(), seen, err, want)
		}
	}
	if _, err := os.Stat("/etc/cni/net.d/marker"); err == nil {
		t.Error("the machine has the marker too")
	}
}

func testImage(t *testing.T, c *cluster.Cluster) {
	binary, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	image := cluster.Image{Name: "example.test/tool:1",
		Files: []cluster.ImageFile{{Path: "/usr/bin/echo", Source: binary}}}
	if err := c.Import(t.Context(), image); err != nil {
		t.Fatal(err)
	}
	for _, node := range c.Nodes() {
		pod := "tool-" + node.Name()
		kubectl(t, c, "run", pod, "--image", image.Name, "--restart=Never",
			"--overrides", `{"spec": {"nodeName": "`+node.Name()+`"}}`, "--", "made", "here")
		kubectl(t, c, "wait", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=180s", "pod/"+pod)
		if got := kubectl(t, c, "logs", pod); got != "made here" {
			t.Errorf("the image's first file prints %q on %s", got, node.Name())
		}
	}
}

func testNodesStop(t *testing.T, c *cluster.Cluster, before []string) {
	during := traces(t, c.Dir())
	namespaces := namespacesOf(t, c)
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	expectGone(t, c.Dir())
	expectNoTraces(t, c.Dir(), before, namespaces)
	if slices.Equal(during, before) {
		t.Error("no trace of the running cluster: the test would not see what is left either")
	}
	if err := c.Stop(); err != nil {
		t.Errorf("a second Stop: %v", err)
	}
}

type pod struct{ name, node, ip string }

// pair returns the two Pods, in the order of their nodes.
func pair(t *testing.T, c *cluster.Cluster) []pod {
	t.Helper()
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Spec     struct{ NodeName string }
			Status   struct{ PodIP string }
		}
	}
	if err := json.Unmarshal([]byte(kubectl(t, c, "get", "pods", "-l", "app=pair", "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 2 {
		t.Fatalf("%d Pods; want 2", len(list.Items))
	}
	var pods []pod
	for _, item := range list.Items {
		pods = append(pods, pod{item.Metadata.Name, item.Spec.NodeName, item.Status.PodIP})
	}
	slices.SortFunc(pods, func(a, b pod) int { return strings.Compare(a.node, b.node) })
	return pods
}
