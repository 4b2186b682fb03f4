package system

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// agentNetconfPath is the path of the netconf for agents on each node.
const agentNetconfPath = "/etc/cni/agent.d/00-kactus.conf"

func (c *testCluster) hotNetworks(t *testing.T) {
	c.giveAgentsANetconf(t)
	c.onEachNode(c.hotNetworksOn)(t)
}

// giveAgentsANetconf lets the installers write a netconf for agents, as docs/node-agents.md
// describes.
func (c *testCluster) giveAgentsANetconf(t *testing.T) {
	t.Helper()
	manifest, err := os.ReadFile(c.path("manifests/kactus-ds.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c.apply(t, regexp.MustCompile(`(?m)^( *)#(- |  )`).ReplaceAllString(string(manifest), "$1$2"))
	c.rolledOutInstaller(t)
	for _, node := range c.Nodes() {
		if got := c.on(t, node, "/opt/cni/bin/kactus", "validate", agentNetconfPath); !strings.Contains(got, "valid") {
			t.Errorf("the agents' netconf on %s: %s", node.Name(), got)
		}
	}
}

// hotNetworksOn adds networks to a running Pod, as an agent does that uses no cache of libcni, and
// as one does that uses the node's, with a netconf of its own. The installed agent must leave them
// alone, the restart of the runtime must not remove them, and the Pod's end must.
func (c *testCluster) hotNetworksOn(t *testing.T, node *cluster.Node) {
	pod := c.podOn(t, node, "hot", `[{"name": "green"}]`)
	// Without these elements, the installed agent would remove what others attach.
	c.annotate(t, pod, `[{"name": "green"}, {"name": "data", "podagentSkip": true},
		{"name": "blue", "podagentSkip": true}]`)
	c.hot(t, node, "ADD", pod, "data", data)
	c.cachedHotAdd(t, node, pod, "blue", blue)
	c.expectInterfaces(t, pod, "eth0", green, data, blue)
	uid := c.uid(t, pod)
	c.restartRuntime(t, node)
	c.ready(t, "pod/"+pod)
	c.expectUntouched(t, pod)
	c.expectInterfaces(t, pod, "eth0", green, data, blue)
	if c.uid(t, pod) != uid {
		t.Error("the Pod was replaced")
	}
	c.hot(t, node, "DEL", pod, "data", data)
	c.expectInterfaces(t, pod, "eth0", green, blue)
	c.hot(t, node, "ADD", pod, "data", data)
	c.kubectl(t, "delete", "pod", pod)
	c.nothingLeftOn(t, node)
}

func (c *testCluster) restartRuntime(t *testing.T, node *cluster.Node) {
	t.Helper()
	if err := node.StopRuntime(); err != nil {
		t.Fatal(err)
	}
	if err := node.StartRuntime(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// hot runs a hot operation as a node agent does that uses no cache of libcni.
func (c *testCluster) hot(t *testing.T, node *cluster.Node, operation, pod, network, ifName string) {
	t.Helper()
	id, netns := c.sandbox(t, node, pod)
	c.runKactus(t, node, operation, id, netns, ifName, strings.Join([]string{"IgnoreUnknown=1",
		"K8S_POD_NAMESPACE=default", "K8S_POD_NAME=" + pod, "K8S_POD_INFRA_CONTAINER_ID=" + id,
		"K8S_POD_NETWORK=" + network}, ";"))
}

// runKactus runs an operation on a node, with the node's netconf. It must succeed.
func (c *testCluster) runKactus(t *testing.T, node *cluster.Node, operation, id, netns, ifName, args string) {
	t.Helper()
	netconf, err := os.Open(node.Path(netconfPath))
	if err != nil {
		t.Fatal(err)
	}
	defer netconf.Close()
	cmd := node.Command(t.Context(), "env", "CNI_COMMAND="+operation, "CNI_CONTAINERID="+id, "CNI_NETNS="+netns,
		"CNI_IFNAME="+ifName, "CNI_PATH=/opt/cni/bin", "CNI_ARGS="+args, "/opt/cni/bin/kactus")
	cmd.Stdin = netconf
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s of %s on %s: %v\n%s", operation, ifName, node.Name(), err, out)
	}
}

// sandbox returns the container ID and the network namespace of a Pod, from the node's ledger.
func (c *testCluster) sandbox(t *testing.T, node *cluster.Node, pod string) (id, netns string) {
	t.Helper()
	record := c.record(t, node, pod)
	return record.ContainerID, record.Netns.Path
}

// A record is a part of the ledger's record of a Pod.
type record struct {
	ContainerID string
	Netns       struct{ Path string }
	Pod         struct{ Name string }
	Attachments []struct{ Device, State string }
}

func (c *testCluster) record(t *testing.T, node *cluster.Node, pod string) record {
	t.Helper()
	for _, file := range records(t, node) {
		content, err := os.ReadFile(file)
		if err != nil || filepath.Ext(file) != ".json" {
			continue // maybe of another Pod, which has just ended
		}
		var found record
		if err := json.Unmarshal(content, &found); err != nil {
			t.Fatal(err)
		}
		if found.Pod.Name == pod {
			return found
		}
	}
	t.Fatalf("the ledger of %s has no record of %s", node.Name(), pod)
	return record{}
}

// cachedHotAdd runs a hot ADD as a node agent does that uses libcni with the node's cache, where
// the runtime's libcni finds the attachment. The agent's netconf is that of the installer.
func (c *testCluster) cachedHotAdd(t *testing.T, node *cluster.Node, pod, network, ifName string) {
	t.Helper()
	content, err := os.ReadFile(node.Path(agentNetconfPath))
	if err != nil {
		t.Fatal(err)
	}
	var netconf map[string]any
	if err := json.Unmarshal(content, &netconf); err != nil {
		t.Fatal(err)
	}
	// CRI-O crashes at the Pod's end if the cache has a configuration that is not a list.
	content, err = json.Marshal(map[string]any{"name": netconf["name"], "cniVersion": netconf["cniVersion"],
		"plugins": []any{netconf}})
	if err != nil {
		t.Fatal(err)
	}
	list, err := libcni.NetworkConfFromBytes(content)
	if err != nil {
		t.Fatal(err)
	}
	id, netns := c.sandbox(t, node, pod)
	agent := libcni.NewCNIConfigWithCacheDir([]string{"/opt/cni/bin"}, node.Path("/var/lib/cni"), nodeExec{node})
	_, err = agent.AddNetworkList(t.Context(), list, &libcni.RuntimeConf{ContainerID: id, NetNS: netns, IfName: ifName,
		Args: [][2]string{{"IgnoreUnknown", "1"}, {"K8S_POD_NAMESPACE", "default"}, {"K8S_POD_NAME", pod},
			{"K8S_POD_INFRA_CONTAINER_ID", id}, {"K8S_POD_NETWORK", network}}})
	if err != nil {
		t.Fatalf("hot ADD of %s on %s: %v", network, node.Name(), err)
	}
}

// nodeExec runs plugins on a node.
type nodeExec struct{ node *cluster.Node }

// ExecPlugin runs a plugin and returns what it prints.
func (e nodeExec) ExecPlugin(ctx context.Context, plugin string, netconf []byte, environ []string) ([]byte, error) {
	var variables []string
	for _, variable := range environ {
		if strings.HasPrefix(variable, "CNI_") {
			variables = append(variables, variable)
		}
	}
	cmd := e.node.Command(ctx, "env", append(variables, plugin)...)
	cmd.Stdin = bytes.NewReader(netconf)
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return out, err
}

// FindInPath returns the plugin's path on the node.
func (nodeExec) FindInPath(plugin string, paths []string) (string, error) {
	return filepath.Join(paths[0], plugin), nil
}

// Decode parses what a plugin prints for VERSION.
func (nodeExec) Decode(printed []byte) (version.PluginInfo, error) {
	return new(version.PluginDecoder).Decode(printed)
}
