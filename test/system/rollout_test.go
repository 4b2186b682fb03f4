package system

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// TestInstaller_OnNodes tests what happens to nodes when their installer changes, goes, or meets
// nodes that differ from those of the other tests.
func TestInstaller_OnNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a cluster")
	}
	c := newTestCluster(t)
	c.installed(t)
	c.rolledOutInstaller(t)
	c.networks(t)
	for _, tt := range []struct {
		behavior string
		test     func(*testing.T)
	}{
		{"each node has a token of its own", c.ownTokens},
		{"Pods start while the installers are deleted, again and again", c.installersDeleted},
		{"a version that is not a program stops at the first node", c.brokenImage(cluster.Image{
			Name: "kactus:no-program", Files: []cluster.ImageFile{{Path: "/kactus", Source: c.path("LICENSE")}}})},
		{"a version that does nothing stops at the first node", c.brokenImage(cluster.Image{
			Name: "kactus:idle", Entrypoint: []string{"/bin/sh", "-c", "exec /bin/sleep 3600"},
			Files: []cluster.ImageFile{{Path: "/bin/sh", Source: "/bin/busybox"},
				{Path: "/bin/sleep", Link: "/bin/sh"}, {Path: "/kactus", Link: "/bin/sh"}}})},
		{"a version that cannot reach the apiserver stops at the first node",
			c.brokenArgument("-server=https://127.0.0.1:1")},
		{"a version that cannot install stops at the first node", c.brokenArgument("-bin-dir=/etc/kactus")},
		{"directories of another owner are no obstacle", c.anotherOwner},
		{"a netconf that became a list stays one", c.meshList},
	} {
		t.Run(tt.behavior, func(t *testing.T) {
			defer func() {
				if t.Failed() {
					c.logState(t)
				}
			}()
			tt.test(t)
		})
	}
	c.cleanUp(t)
}

func (c *testCluster) ownTokens(t *testing.T) {
	for _, node := range c.Nodes() {
		c.expectNodeToken(t, node)
	}
}

func (c *testCluster) installersDeleted(t *testing.T) {
	var started atomic.Int32
	deleted := 0
	c.whilePodsStart(t, &started, func() {
		const enough = 10
		for started.Load() < enough && !t.Failed() {
			c.kubectl(t, "-n", "kube-system", "delete", "pods", "-l", "app.kubernetes.io/name=kactus")
			deleted++
		}
	})
	t.Logf("%d Pods started while the installers were deleted %d times", started.Load(), deleted)
	c.noSandboxFailed(t)

	t.Run("and after the DaemonSet was deleted", func(t *testing.T) {
		c.kubectl(t, "-n", "kube-system", "delete", "daemonset", "kactus", "--cascade=foreground", "--wait")
		c.startAndRemovePods(t)
		c.noSandboxFailed(t)
		c.kubectl(t, "apply", "-k", "manifests")
		c.rolledOutInstaller(t)
	})
}

func (c *testCluster) noSandboxFailed(t *testing.T) {
	t.Helper()
	if failed := c.kubectl(t, "get", "events", "--field-selector", "reason=FailedCreatePodSandBox",
		"-o", "name"); failed != "" {
		t.Errorf("failed sandboxes:\n%s", c.kubectl(t, "get", "events", "--field-selector", "type=Warning"))
	}
}

// brokenImage returns a test that rolls out an image that does not work.
func (c *testCluster) brokenImage(image cluster.Image) func(*testing.T) {
	return func(t *testing.T) {
		if err := c.Import(t.Context(), image); err != nil {
			t.Fatal(err)
		}
		c.broken(t, fmt.Sprintf(`[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": %q}]`,
			image.Name))
	}
}

// brokenArgument returns a test that rolls out kactus with an argument that does not work.
func (c *testCluster) brokenArgument(argument string) func(*testing.T) {
	return func(t *testing.T) {
		c.broken(t, fmt.Sprintf(`[{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": %q}]`,
			argument))
	}
}

// broken patches the DaemonSet, and checks that only one node gets a new Pod, and that this Pod
// harms nothing there.
func (c *testCluster) broken(t *testing.T, patch string) {
	before, files := map[string]string{}, c.installedFiles(t)
	await(t, "each node has one installer", func() (string, bool) { // the last update's are gone
		before = c.installers(t)
		return fmt.Sprint(before), len(before) == len(c.Nodes())
	})
	c.kubectl(t, "-n", "kube-system", "patch", "daemonset", "kactus", "--type=json", "-p", patch)
	await(t, "a node has a new installer", func() (string, bool) {
		now := c.installers(t)
		return fmt.Sprint(now), len(now) > len(before)
	})
	// A Pod that is ready would be followed by the next one after minReadySeconds.
	for begin := time.Now(); time.Since(begin) < 25*time.Second && !t.Failed(); {
		c.startAndRemovePods(t)
	}
	c.noSandboxFailed(t)
	after := c.installers(t)
	for pod, ready := range before {
		if after[pod] != ready {
			t.Errorf("%s: ready is %q, was %q", pod, after[pod], ready)
		}
		delete(after, pod)
	}
	for pod, ready := range after {
		if ready != "false" || len(after) != 1 {
			t.Errorf("%s: ready is %q; the new Pods: %v", pod, ready, after)
		}
	}
	if now := c.installedFiles(t); now != files {
		t.Errorf("the nodes have other files: %s, were %s", now, files)
	}
	c.kubectl(t, "-n", "kube-system", "rollout", "undo", "daemonset/kactus")
	c.rolledOutInstaller(t)
	c.startAndRemovePods(t)
}

// installers returns the DaemonSet's Pods, and whether they are ready.
func (c *testCluster) installers(t *testing.T) map[string]string {
	t.Helper()
	pods := map[string]string{}
	for line := range strings.Lines(c.kubectl(t, "-n", "kube-system", "get", "pods", "-l",
		"app.kubernetes.io/name=kactus", "-o",
		`jsonpath={range .items[*]}{.metadata.name} {.status.containerStatuses[0].ready}{"\n"}{end}`)) {
		name, ready, _ := strings.Cut(strings.TrimSpace(line), " ")
		pods[name] = ready
	}
	return pods
}

// installedFiles describes what is installed on the nodes, without the token.
func (c *testCluster) installedFiles(t *testing.T) string {
	t.Helper()
	var all []string
	for _, node := range c.Nodes() {
		all = append(all, c.on(t, node, "sha256sum", "/opt/cni/bin/kactus", netconfPath),
			c.on(t, node, "grep", "server:", "/etc/cni/net.d/kactus.d/kactus-kubeconfig.yaml"))
	}
	return strings.Join(all, "\n")
}

// anotherOwner gives the CNI directories to another user, as some tools that set up nodes do, and
// removes what is installed.
func (c *testCluster) anotherOwner(t *testing.T) {
	node := c.Nodes()[1]
	dirs := []string{"/opt/cni/bin", "/etc/cni/net.d"}
	chown := func(owner string) {
		c.on(t, node, "chown", append([]string{"-R", owner}, dirs...)...)
	}
	chown("1000:1000")
	defer chown("0:0")
	for _, path := range []string{"/opt/cni/bin/kactus", "/opt/cni/bin/null", netconfPath} {
		if err := os.Remove(node.Path(path)); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "kactus is installed again", func() (string, bool) {
		installed, err := filepath.Glob(node.Path("/etc/cni/net.d/*-kactus.conf"))
		return fmt.Sprint(installed, err), len(installed) == 1
	})
	c.nodesReady(t)
	c.startAndRemovePods(t)
	for _, path := range []string{
		"/opt/cni/bin/kactus", "/etc/cni/net.d/kactus.d/kactus-kubeconfig.yaml", netconfPath,
	} {
		if owner := c.on(t, node, "stat", "-c", "%u:%g", path); owner != "0:0" {
			t.Errorf("%s belongs to %s", path, owner)
		}
	}
	c.rolledOutInstaller(t)
}

// meshList puts another plugin behind kactus, as the installers of service meshes do.
func (c *testCluster) meshList(t *testing.T) {
	node := c.Nodes()[0]
	netconf, err := os.ReadFile(node.Path(netconfPath))
	if err != nil {
		t.Fatal(err)
	}
	list := fmt.Sprintf(`{"cniVersion": "0.3.1", "name": "mesh", "plugins": [%s, {"type": "tuning"}]}`, netconf)
	path := netconfPath + "list"
	if err := os.WriteFile(node.Path(path), []byte(list), 0o644); err != nil {
		t.Fatal(err)
	}
	await(t, "the netconf is only in the list", func() (string, bool) {
		files, err := filepath.Glob(node.Path("/etc/cni/net.d/*-kactus.conf*"))
		return fmt.Sprint(files, err), len(files) == 1 && files[0] == node.Path(path)
	})
	c.startAndRemovePods(t)
	c.noSandboxFailed(t)
	c.kubectl(t, "-n", "kube-system", "delete", "pod", c.installer(t, node))
	c.rolledOutInstaller(t)
	if content, err := os.ReadFile(node.Path(path)); err != nil || string(content) != list {
		t.Errorf("the list became %s (%v)", content, err)
	}
	if err := os.Remove(node.Path(path)); err != nil {
		t.Fatal(err)
	}
	await(t, "the node has a netconf of its own", func() (string, bool) {
		_, err := os.Stat(node.Path(netconfPath))
		return fmt.Sprint(err), err == nil
	})
}
