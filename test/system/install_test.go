package system

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

const netconfPath = "/etc/cni/net.d/00-kactus.conf"

// install starts with nodes that have no CNI configuration. One of them also lacks the master
// delegate's plugin.
func (c *testCluster) install(t *testing.T) {
	one, two := c.Nodes()[0], c.Nodes()[1]
	c.isReady(t, one, false)
	c.isReady(t, two, false)
	flannel := two.Path("/opt/cni/bin/flannel")
	if err := os.Rename(flannel, flannel+".later"); err != nil {
		t.Fatal(err)
	}

	c.kubectl(t, "apply", "-k", "manifests")
	c.installerLogs(t, one, "find the default network", "/etc/cni/net.d has no configuration of one")
	c.isReady(t, one, false)
	must(t, one.InstallFlannel())
	c.kubectl(t, "wait", "--for=condition=Ready", "node/"+one.Name(), "--timeout=90s")
	c.installerLogs(t, one, "whose default network is cbr0 (flannel, portmap) of "+cluster.FlannelPath)
	must(t, two.InstallFlannel())
	c.installerLogs(t, two, "/opt/cni/bin/flannel", "no such file")
	if _, err := os.Stat(two.Path(netconfPath)); err == nil {
		t.Error("node2 has a netconf, but a plugin is missing")
	}
	if err := os.Rename(flannel+".later", flannel); err != nil {
		t.Fatal(err)
	}
	c.installed(t)
	c.rolledOutInstaller(t)
	c.rolledOut(t, "-n=kube-system", "daemonset/kactus-agent")

	for _, node := range c.Nodes() {
		if target := c.on(t, node, "readlink", "/opt/cni/bin/null"); target != "kactus" {
			t.Errorf("null on %s is a link to %s", node.Name(), target)
		}
		for path, want := range map[string]string{
			"/opt/cni/bin/kactus": "755",
			netconfPath:           "600",
			"/etc/cni/net.d/kactus.d/kactus-kubeconfig.yaml": "600",
			"/etc/cni/net.d/kactus.d":                        "700",
		} {
			if got := c.on(t, node, "stat", "-c", "%a", path); got != want {
				t.Errorf("the mode of %s on %s is %s, want %s", path, node.Name(), got, want)
			}
		}
	}
	got, want := c.on(t, one, "/opt/cni/bin/kactus", "version"), c.output(t, c.binary(), "version")
	if got != want {
		t.Errorf("node1 has kactus %s, want the image's %s", got, want)
	}
}

// installerLogs waits until the installer on a node has logged all of the words.
func (c *testCluster) installerLogs(t *testing.T, node *cluster.Node, words ...string) {
	t.Helper()
	await(t, fmt.Sprintf("the installer on %s logs %q", node.Name(), words), func() (string, bool) {
		log, _ := c.Kubectl(t.Context(), "-n", "kube-system", "logs", c.installer(t, node)).CombinedOutput()
		return string(log), !slices.ContainsFunc(words, func(word string) bool {
			return !strings.Contains(string(log), word)
		})
	})
}

// newerVersion gives the nodes a netconf of a CNI version that has STATUS and GC.
func (c *testCluster) newerVersion(t *testing.T) {
	c.setVersion(t, "1.1.0")
	t.Run("STATUS", c.onEachNode(c.status))
	t.Run("GC", func(t *testing.T) { c.collectAtStart(t, c.crioNode(t)) })
	c.setVersion(t, "1.0.0")
}

// status removes a plugin from a node. containerd asks for the status every few seconds, CRI-O only
// after its start and until the answer is good.
func (c *testCluster) status(t *testing.T, node *cluster.Node) {
	plugin := node.Path("/opt/cni/bin/flannel")
	if err := os.Rename(plugin, plugin+".away"); err != nil {
		t.Fatal(err)
	}
	if node.Runtime() == cluster.CRIO {
		c.restartRuntime(t, node)
	}
	await(t, node.Name()+" reports that kactus is not ready", func() (string, bool) {
		condition := c.kubectl(t, "get", "node", node.Name(), "-o", `jsonpath={.status.conditions[?(@.type=="Ready")]}`)
		return condition, strings.Contains(condition, `"False"`) && strings.Contains(condition, "flannel")
	})
	if err := os.Rename(plugin+".away", plugin); err != nil {
		t.Fatal(err)
	}
	c.ready(t, "node/"+node.Name())
	c.kubectl(t, "delete", "pod", c.podOn(t, node, "ready", ""))
	c.nothingLeftOn(t, node)
}

// setVersion changes the cniVersion in the ConfigMap, and waits until the installers have updated
// the nodes' netconfs. The kubelet takes up to a minute to pass the change on.
func (c *testCluster) setVersion(t *testing.T, version string) {
	t.Helper()
	netconf := c.kubectl(t, "-n", "kube-system", "get", "configmap", "kactus", "-o", `jsonpath={.data.00-kactus\.conf}`)
	changed := regexp.MustCompile(`"cniVersion": "1[.0-9]*"`).ReplaceAllString(netconf, `"cniVersion": "`+version+`"`)
	patch, err := json.Marshal(map[string]any{"data": map[string]string{"00-kactus.conf": changed}})
	if err != nil {
		t.Fatal(err)
	}
	c.kubectl(t, "-n", "kube-system", "patch", "configmap", "kactus", "-p", string(patch))
	for _, node := range c.Nodes() {
		await(t, node.Name()+" has the netconf with cniVersion "+version, func() (string, bool) {
			installed, err := os.ReadFile(node.Path(netconfPath))
			return string(installed), err == nil && strings.Contains(string(installed),
				"\n  "+`"cniVersion": "`+version+`"`)
		})
	}
}

func (c *testCluster) isReady(t *testing.T, node *cluster.Node, want bool) {
	t.Helper()
	status := c.kubectl(t, "get", "node", node.Name(), "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
	if (status == "True") != want {
		t.Errorf("%s: Ready is %s", node.Name(), status)
	}
}

// installer returns the name of the DaemonSet's Pod on a node, or an empty string.
func (c *testCluster) installer(t *testing.T, node *cluster.Node) string {
	t.Helper()
	return c.kubectl(t, "-n", "kube-system", "get", "pods", "-l", "app.kubernetes.io/name=kactus", "--field-selector",
		"spec.nodeName="+node.Name(), "-o", "jsonpath={.items[*].metadata.name}")
}

func (c *testCluster) rolledOutInstaller(t *testing.T) {
	t.Helper()
	c.kubectl(t, "-n", "kube-system", "rollout", "status", "daemonset/kactus", "--timeout="+rolloutLimit)
}

func (c *testCluster) output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).Output()
	if err != nil {
		t.Fatalf("%s %q: %v", name, args, err)
	}
	return strings.TrimSpace(string(out))
}

// uninstall follows docs/install.md: it deletes the DaemonSets, runs a command on each node, then
// deletes the rest.
func (c *testCluster) uninstall(t *testing.T) {
	c.kubectl(t, "-n", "kube-system", "delete", "daemonset", "kactus-agent", "kactus", "--wait")
	await(t, "the agents and the installers have ended", func() (string, bool) {
		pods := c.kubectl(t, "-n", "kube-system", "get", "pods", "-o", "name")
		return pods, pods == ""
	})
	for _, node := range c.Nodes() {
		c.on(t, node, "/opt/cni/bin/kactus", "install", "-uninstall",
			"-agent-netconf-dir", filepath.Dir(agentNetconfPath))
		for _, path := range []string{
			"/opt/cni/bin/kactus", "/opt/cni/bin/null", netconfPath, agentNetconfPath,
			"/etc/cni/net.d/kactus.d",
		} {
			if _, err := os.Lstat(node.Path(path)); err == nil {
				t.Errorf("%s still exists on %s", path, node.Name())
			}
		}
	}
	c.restartRuntime(t, c.crioNode(t)) // CRI-O that has been ready once stays so until it ends
	for _, node := range c.Nodes() {
		pod := c.podOn(t, node, "without-kactus", `[{"name": "green"}]`)
		c.expectInterfaces(t, pod, "eth0")
	}
	c.kubectl(t, "delete", "-k", "manifests", "--ignore-not-found")
	c.kubectl(t, "apply", "-f", "manifests/network-crd.yaml") // cleanUp deletes Networks
	c.kubectl(t, "wait", "--for=condition=Established", "crd/networks.kaloom.com")
}
