package cluster_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

func TestUp_AndDownTwice(t *testing.T) {
	binaries := build(t, cluster.Parts()...)
	dir := filepath.Join(t.TempDir(), "demo")
	t.Cleanup(func() {
		if err := cluster.Down(dir); err != nil {
			t.Error(err)
		}
	})
	for range 2 {
		cp, err := cluster.Up(t.Context(), cluster.Options{Dir: dir, Binaries: binaries})
		if err != nil {
			t.Fatal(err)
		}
		expect(t, cp, http.MethodGet, "/readyz", "", http.StatusOK)
		if _, err := cluster.Up(t.Context(), cluster.Options{Dir: dir, Binaries: binaries}); err == nil {
			t.Error("a second control plane started in the same directory")
		}
		expect(t, cp, http.MethodGet, "/readyz", "", http.StatusOK)
		if err := cluster.Down(dir); err != nil {
			t.Fatal(err)
		}
		expectGone(t, dir)
	}
	if err := cluster.Down(dir); err != nil {
		t.Errorf("Down of a directory that does not exist: %v", err)
	}
}

func TestUpNodes_AndDown(t *testing.T) {
	binaries := build(t, cluster.ClusterParts()...)
	dir := filepath.Join(t.TempDir(), "demo")
	before := traces(t, "")
	t.Cleanup(func() {
		if err := cluster.Down(dir); err != nil {
			t.Error(err)
		}
	})
	c, err := cluster.UpNodes(t.Context(), cluster.NodesOptions{Options: cluster.Options{Dir: dir, Binaries: binaries},
		Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	node := c.Nodes()[0]
	t.Run("a node becomes ready when a CNI configuration is written", func(t *testing.T) { testGetsReady(t, c, node) })
	t.Run("an image is imported by the state directory", func(t *testing.T) {
		image := cluster.Image{Name: "late:1", Files: []cluster.ImageFile{{Path: "/f", Source: "background_test.go"}}}
		if err := cluster.Import(t.Context(), dir, image); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(filepath.Join(node.Dir(), "enter"), "ctr", "-n", "k8s.io", "images", "ls",
			"-q").Output()
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
	eventually(t, "report of the missing CNI configuration", func() bool {
		return strings.Contains(kubectl(t, c, "get", "node", "node1", "-o", message), "cni plugin not initialized")
	})
	conf := fmt.Sprintf(`{
		"cniVersion": "1.0.0", "name": "late", "type": "ptp", "ipam": {"type": "host-local", "subnet": %q}
	}`, node.PodSubnet())
	if err := os.WriteFile(node.Path("/etc/cni/net.d/late.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitReady(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestDown_SparesProcessWithReusedPID(t *testing.T) {
	other := exec.Command("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Process.Kill(); other.Wait() })
	dir := t.TempDir()
	for name, content := range map[string]string{
		"etcd.pid":         strconv.Itoa(other.Process.Pid),
		"etcd.pid-started": "another-boot 1",
		"precious":         "not the cluster's",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := cluster.Down(dir); err != nil {
		t.Fatal(err)
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(other.Process.Pid) + "/stat")
	if err != nil || strings.Contains(string(stat), ") Z ") {
		t.Errorf("the other process has ended: %s, %v", stat, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "precious")); err != nil {
		t.Errorf("a file that is not the cluster's: %v", err)
	}
}
