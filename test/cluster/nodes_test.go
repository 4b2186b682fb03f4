package cluster_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// pairOfPods has to be on two nodes, and writes where only its own node should see it.
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

func TestNodes(t *testing.T) {
	binaries := buildCluster(t)
	t.Setenv("TMPDIR", t.TempDir())
	before := traces(t, "")
	c, err := cluster.StartNodes(t.Context(), cluster.NodesOptions{Options: cluster.Options{Binaries: binaries}, DefaultCNI: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})

	t.Run("are ready", func(t *testing.T) { testReady(t, c) })
	t.Run("run Pods that may not be on the same one", func(t *testing.T) { testPair(t, c) })
	t.Run("have files of their own", func(t *testing.T) { testHostPath(t, c) })
	t.Run("run an image made on the spot", func(t *testing.T) { testImage(t, c) })
	t.Run("keep Pods when containerd and the kubelet start again", func(t *testing.T) { testRestart(t, c) })
	t.Run("start their Pods again after a reboot", func(t *testing.T) { testReboot(t, c) })
	t.Run("outlast the apiserver", func(t *testing.T) { testNodesOutage(t, c) })
	t.Run("leave nothing after Stop", func(t *testing.T) { testNodesStop(t, c, before) })
}

func testReady(t *testing.T, c *cluster.Cluster) {
	kubectl(t, c, "wait", "--for=condition=Ready", "--timeout=0", "node", "--all")
	names := kubectl(t, c, "get", "nodes", "-o", "jsonpath={.items[*].metadata.name}")
	if names != "node1 node2" {
		t.Errorf("the nodes are %q; want node1 and node2", names)
	}
}

func testPair(t *testing.T, c *cluster.Cluster) {
	apply(t, c, pairOfPods)
	kubectl(t, c, "rollout", "status", "deployment/pair", "--timeout=180s")
	one, two := pair(t, c)
	if one.node == two.node {
		t.Errorf("both Pods are on %s", one.node)
	}
	out := kubectl(t, c, "exec", one.name, "--", "ping", "-c", "1", "-W", "5", two.ip)
	if !strings.Contains(out, "1 packets received") {
		t.Errorf("ping from one Pod to the other: %s", out)
	}
	if got, want := kubectl(t, c, "logs", two.name), "this is "+two.name; got != want {
		t.Errorf("the log says %q; want %q", got, want)
	}
	// The Service kubernetes works without kube-proxy.
	kubectl(t, c, "exec", one.name, "--", "sh", "-c", `nc -w 5 "$KUBERNETES_SERVICE_HOST" "$KUBERNETES_SERVICE_PORT" </dev/null`)
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
	image := cluster.Image{Name: "example.test/tool:1", Files: []cluster.ImageFile{{Path: "/usr/bin/echo", Source: binary}}}
	if err := c.Import(t.Context(), image); err != nil {
		t.Fatal(err)
	}
	kubectl(t, c, "run", "tool", "--image", image.Name, "--restart=Never", "--", "made", "here")
	kubectl(t, c, "wait", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=180s", "pod/tool")
	if got := kubectl(t, c, "logs", "tool"); got != "made here" {
		t.Errorf("the image's first file says %q", got)
	}
}

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
		t.Errorf("the Pod is %+v; it was %+v", after, before)
	}
	// A kubelet that is Ready may not have looked at all its Pods yet.
	eventually(t, func() bool { return c.Kubectl(t.Context(), "exec", before.name, "--", "true").Run() == nil })
}

func testNodesOutage(t *testing.T, c *cluster.Cluster) {
	one, _ := pair(t, c)
	if err := c.StopAPIServer(); err != nil {
		t.Fatal(err)
	}
	if out, err := c.Kubectl(t.Context(), "get", "nodes").CombinedOutput(); err == nil {
		t.Errorf("a stopped apiserver answers: %s", out)
	}
	if err := c.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return c.Kubectl(t.Context(), "exec", one.name, "--", "true").Run() == nil })
}

func testReboot(t *testing.T, c *cluster.Cluster) {
	const bootID = "jsonpath={.status.nodeInfo.bootID}"
	one, two := pair(t, c)
	before := kubectl(t, c, "get", "node", "node1", "-o", bootID)
	if err := c.Nodes()[0].Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	kubectl(t, c, "wait", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", "--timeout=180s", "pod/"+one.name)
	kubectl(t, c, "wait", "--for=condition=Ready", "--timeout=180s", "pod/"+one.name)
	one, _ = pair(t, c) // its address is a new one
	kubectl(t, c, "exec", two.name, "--", "ping", "-c", "1", "-W", "5", one.ip)
	if after := kubectl(t, c, "get", "node", "node1", "-o", bootID); after == before {
		t.Errorf("the boot is %s as before", after)
	}
}

func TestNodesDieWithTheParent(t *testing.T) {
	buildCluster(t)
	dir := t.TempDir()
	t.Cleanup(func() { cluster.Down(dir) })
	killOnce(t, dieNodesEnv, dir, "node1/kubelet.pid")
	eventually(t, func() bool { return len(processesNaming(t, dir)) == 0 })
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
		t.Error("not one trace of the cluster while it ran: this test sees nothing")
	}
	if err := c.Stop(); err != nil {
		t.Errorf("a second Stop: %v", err)
	}
}

func TestUpNodesAndDown(t *testing.T) {
	binaries := buildCluster(t)
	dir := filepath.Join(t.TempDir(), "demo")
	before := traces(t, "")
	t.Cleanup(func() {
		if err := cluster.Down(dir); err != nil {
			t.Error(err)
		}
	})
	c, err := cluster.UpNodes(t.Context(), cluster.NodesOptions{Options: cluster.Options{Dir: dir, Binaries: binaries}, Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	node := c.Nodes()[0]
	t.Run("a node without a CNI configuration is not ready until it gets one", func(t *testing.T) { testGetsReady(t, c, node) })
	t.Run("an image is imported by folder", func(t *testing.T) {
		image := cluster.Image{Name: "late:1", Files: []cluster.ImageFile{{Path: "/f", Source: "nodes_test.go"}}}
		if err := cluster.Import(t.Context(), dir, image); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(filepath.Join(node.Dir(), "enter"), "ctr", "-n", "k8s.io", "images", "ls", "-q").Output()
		if err != nil || !strings.Contains(string(out), "/late:1") {
			t.Errorf("the node's images: %s, %v", out, err)
		}
	})
	namespaces := namespacesOf(t, c)
	if err := cluster.Down(dir); err != nil {
		t.Fatal(err)
	}
	expectGone(t, dir)
	expectNoTraces(t, c.Dir(), before, namespaces)
}

func testGetsReady(t *testing.T, c *cluster.Cluster, node *cluster.Node) {
	const message = `jsonpath={.status.conditions[?(@.type=="Ready")].message}`
	eventually(t, func() bool {
		return strings.Contains(kubectl(t, c, "get", "node", "node1", "-o", message), "cni plugin not initialized")
	})
	conf := fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "late", "type": "ptp", "ipam": {"type": "host-local", "subnet": %q}}`, node.PodSubnet())
	if err := os.WriteFile(node.Path("/etc/cni/net.d/late.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitReady(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestDownAfterUpWasKilled(t *testing.T) {
	buildCluster(t)
	dir := filepath.Join(t.TempDir(), "cut-short")
	before := traces(t, "")
	t.Cleanup(func() { cluster.Down(dir) })
	killOnce(t, dieUpEnv, dir, "node1/containerd.pid")
	if err := cluster.Down(dir); err != nil {
		t.Fatal(err)
	}
	expectGone(t, dir)
	expectNoTraces(t, dir, before, nil)
}

// killOnce runs the test binary to start a cluster in a folder, and kills it once a file is
// there.
func killOnce(t *testing.T, env, dir, file string) {
	t.Helper()
	up := exec.Command(os.Args[0])
	up.Env = append(os.Environ(), env+"="+dir)
	up.Stderr = os.Stderr
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = up.Process.Kill() }) // where the test ends before
	eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(dir, file))
		return err == nil
	})
	if err := up.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	up.Wait()
}

// startUntilKilled is what killOnce kills.
func startUntilKilled(start func(context.Context, cluster.NodesOptions) (*cluster.Cluster, error), dir string) {
	_, err := start(context.Background(), cluster.NodesOptions{Options: cluster.Options{Dir: dir}, Nodes: 1})
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
	}
	os.Exit(1)
}

type pod struct{ name, node, ip string }

// pair returns the two Pods, that of node1 first.
func pair(t *testing.T, c *cluster.Cluster) (one, two pod) {
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
		t.Fatalf("there are %d Pods; want 2", len(list.Items))
	}
	var pods []pod
	for _, item := range list.Items {
		pods = append(pods, pod{item.Metadata.Name, item.Spec.NodeName, item.Status.PodIP})
	}
	slices.SortFunc(pods, func(a, b pod) int { return strings.Compare(a.node, b.node) })
	return pods[0], pods[1]
}

func kubectl(t *testing.T, c *cluster.Cluster, args ...string) string {
	t.Helper()
	out, err := c.Kubectl(t.Context(), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func apply(t *testing.T, c *cluster.Cluster, manifest string) {
	t.Helper()
	cmd := c.Kubectl(t.Context(), "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(manifest)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("kubectl apply: %v\n%s", err, out)
	}
}

// buildCluster returns the parts, built if need be, which can take minutes.
func buildCluster(t *testing.T) cluster.Binaries {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a cluster")
	}
	binaries, err := cluster.Build(t.Context(), os.Stderr, cluster.ClusterParts()...)
	if err != nil {
		t.Fatal(err)
	}
	return binaries
}

// traces are the mounts and the devices that are known on the machine, and the cgroups of
// the cluster in dir: other tests run clusters of their own meanwhile.
func traces(t *testing.T, dir string) []string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	found := strings.Split(string(mounts), "\n")
	cgroup := cluster.CgroupOf(dir)
	for _, pattern := range []string{"/sys/class/net/*", "/run/netns/*", "/sys/fs/cgroup" + cgroup, "/sys/fs/cgroup/*" + cgroup} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, names...)
	}
	return found
}

// expectNoTraces waits until the cluster in dir has left no trace that was not there
// before, and no process in these namespaces.
func expectNoTraces(t *testing.T, dir string, before, namespaces []string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		left := processesIn(t, namespaces)
		for _, trace := range traces(t, dir) {
			if !slices.Contains(before, trace) {
				left = append(left, trace)
			}
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("left behind: %q", left)
			return
		}
	}
}

// namespacesOf names the namespaces of all nodes.
func namespacesOf(t *testing.T, c *cluster.Cluster) []string {
	t.Helper()
	var found []string
	for _, node := range c.Nodes() {
		for _, kind := range []string{"mnt", "net", "pid"} {
			name, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(node.PID()), "ns", kind))
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, name)
		}
	}
	if len(processesIn(t, found)) < 3*len(c.Nodes()) { // the first one, containerd, the kubelet
		t.Errorf("in the nodes' namespaces run only %q", processesIn(t, found))
	}
	return found
}

func processesIn(t *testing.T, namespaces []string) []string {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, process := range processes {
		for _, kind := range []string{"mnt", "net", "pid"} {
			name, err := os.Readlink(filepath.Join(process, "ns", kind))
			if err == nil && slices.Contains(namespaces, name) {
				line, _ := os.ReadFile(filepath.Join(process, "cmdline"))
				found = append(found, process+" "+string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
				break
			}
		}
	}
	return found
}
