package system

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// A defaultNetwork is one that an owner gives a node.
type defaultNetwork struct {
	file, name string
	// config has %s where the node's subnet is.
	config string
	// net is the second octet of its addresses, and 0 where the node's Pod subnet is used.
	net int
	// portMappings tells whether its configuration declares them.
	portMappings bool
}

// hostLocal is an IPAM configuration whose subnet is missing.
const hostLocal = `{"type": "host-local", "ranges": [[{"subnet": "%s"}]], "routes": [{"dst": "0.0.0.0/0"}]}`

// The default networks of the tests. Those of Calico and Cilium have the form that these projects'
// documentation shows.
var (
	flannelNetwork = defaultNetwork{"10-flannel.conflist", "cbr0", `{"name": "cbr0", "cniVersion": "0.3.1", "plugins": [
		{"type": "flannel", "delegate": {"hairpinMode": true, "isDefaultGateway": true}},
		{"type": "portmap", "capabilities": {"portMappings": true}}]}`, 0, true}
	bridgeNetwork = defaultNetwork{"10-bridge.conf", "bridged", `{"cniVersion": "1.0.0", "name": "bridged",
		"type": "bridge", "bridge": "default-br", "isGateway": true, "ipam": ` + hostLocal + `}`, 41, false}
	ptpNetwork = defaultNetwork{"20-ptp.conf", "routed", `{"cniVersion": "0.4.0", "name": "routed", "type": "ptp",
		"ipam": ` + hostLocal + `}`, 42, false}
	listNetwork = defaultNetwork{"10-list.conflist", "listed", `{"cniVersion": "1.1.0", "name": "listed", "plugins": [
		{"type": "ptp", "ipam": ` + hostLocal + `},
		{"type": "portmap", "snat": true, "capabilities": {"portMappings": true}},
		{"type": "bandwidth", "capabilities": {"bandwidth": true}}]}`, 43, true}
	calicoNetwork = defaultNetwork{"10-calico.conflist", "k8s-pod-network", `{
  "name": "k8s-pod-network",
  "cniVersion": "0.3.1",
  "plugins": [
    {
      "type": "calico", "log_level": "info", "log_file_path": "/var/log/calico/cni/cni.log",
      "datastore_type": "kubernetes", "nodename": "a node", "mtu": 0,
      "ipam": {"type": "calico-ipam"},
      "policy": {"type": "k8s"},
      "kubernetes": {"kubeconfig": "/etc/cni/net.d/calico-kubeconfig"}
    },
    {"type": "bandwidth", "capabilities": {"bandwidth": true}},
    {"type": "portmap", "snat": true, "capabilities": {"portMappings": true}}
  ]
}`, 44, true}
	ciliumNetwork = defaultNetwork{"05-cilium.conflist", "cilium", `{
  "cniVersion": "0.3.1",
  "name": "cilium",
  "plugins": [
    {"type": "cilium-cni", "enable-debug": false, "log-file": "/var/run/cilium/cilium-cni.log"}
  ]
}`, 45, false}
)

// standIn is a script in the place of the plugin of a Calico or Cilium: it runs ptp with host-local
// for the addresses, and ptp passes over the keys that it does not know.
const standIn = `#!/bin/sh
sed -e 's|"ipam":{"type":"calico-ipam"}|"ipam":IPAM|' -e 's|"type":"cilium-cni"|&,"ipam":IPAM|' | /opt/cni/bin/ptp
`

// subnet returns the default network's subnet of a node.
func (d defaultNetwork) subnet(node *cluster.Node) string {
	if d.net == 0 {
		return node.PodSubnet().String()
	}
	return fmt.Sprintf("10.%d.%d.0/24", d.net, node.IP()[len(node.IP())-1])
}

func (d defaultNetwork) path(node *cluster.Node) string {
	return node.Path(filepath.Join("/etc/cni/net.d", d.file))
}

func (d defaultNetwork) write(t *testing.T, node *cluster.Node) {
	t.Helper()
	must(t, os.WriteFile(d.path(node), []byte(strings.ReplaceAll(d.config, "%s", d.subnet(node))), 0o644))
}

// awaitDefault waits until kactus has a default network, with the capabilities that it declares.
func (c *testCluster) awaitDefault(t *testing.T, node *cluster.Node, d defaultNetwork) {
	t.Helper()
	await(t, "kactus has the default network "+d.name+" on "+node.Name(), func() (string, bool) {
		content, err := os.ReadFile(node.Path(netconfPath))
		var netconf struct {
			Capabilities map[string]bool
			Delegates    []struct {
				Name   string
				Source string `json:"com.kaloom.source"`
			}
		}
		_ = json.Unmarshal(content, &netconf)
		return fmt.Sprintf("%s (%v)\n%s", content, err, c.health(t, node)), len(netconf.Delegates) == 1 &&
			netconf.Delegates[0].Name == d.name && filepath.Base(netconf.Delegates[0].Source) == d.file &&
			netconf.Capabilities["portMappings"] == d.portMappings && netconf.Capabilities["kaloom.com/selection"]
	})
}

// health returns the installer's answer on a node.
func (c *testCluster) health(t *testing.T, node *cluster.Node) string {
	t.Helper()
	ask := node.Command(t.Context(), "busybox", "nc", "-w", "2", "127.0.0.1", "9617")
	ask.Stdin = strings.NewReader("GET /healthz HTTP/1.0\r\n\r\n")
	out, err := ask.CombinedOutput()
	return fmt.Sprintf("%s (%v)", out, err)
}

func (c *testCluster) awaitHealth(t *testing.T, node *cluster.Node, words ...string) {
	t.Helper()
	await(t, fmt.Sprintf("/healthz of %s has %q", node.Name(), words), func() (string, bool) {
		health := c.health(t, node)
		return health, !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(health, word) })
	})
}

// prefix returns what the addresses of a node begin with.
func (d defaultNetwork) prefix(node *cluster.Node) string {
	return strings.TrimSuffix(d.subnet(node), "0/24")
}

// expectWhole expects that a Pod has an address of a default network, and the interfaces of
// greenAndData.
func (c *testCluster) expectWhole(t *testing.T, node *cluster.Node, pod string, d defaultNetwork) {
	t.Helper()
	c.expectDefault(t, node, pod, d, green, data)
}

// expectDefault expects that a Pod has an address of a default network, and these other interfaces.
func (c *testCluster) expectDefault(
	t *testing.T, node *cluster.Node, pod string, d defaultNetwork, others ...string,
) {
	t.Helper()
	c.expectInterfaces(t, pod, append([]string{"eth0"}, others...)...)
	shown := c.kubectl(t, "exec", pod, "--", "ip", "-o", "-4", "addr", "show", "dev", "eth0")
	address := c.kubectl(t, "get", "pod", pod, "-o", "jsonpath={.status.podIP}")
	if !strings.HasPrefix(address, d.prefix(node)) || !strings.Contains(shown, " "+address+"/") {
		t.Errorf("%s has the address %q, and shows %s; want one of %s", pod, address, shown, d.subnet(node))
	}
}

// leasesOf returns the addresses that host-local keeps for a network.
func leasesOf(t *testing.T, node *cluster.Node, network string) []string {
	t.Helper()
	files, err := filepath.Glob(node.Path(filepath.Join("/var/lib/cni/networks", network, "[0-9]*")))
	must(t, err)
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	return files
}

// whileWholePodsStart starts Pods on a node, one after the other, while do runs, and at least one
// after it. Each must have all its networks, and an address of one of the default networks.
func (c *testCluster) whileWholePodsStart(
	t *testing.T, node *cluster.Node, do func(), networks ...defaultNetwork,
) {
	t.Helper()
	var ended atomic.Bool
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for last, n := false, 0; !last && !t.Failed(); n++ {
			last = ended.Load()
			c.startWholePod(t, node, fmt.Sprintf("whole%d-%s", n, node.Name()), networks)
		}
	}()
	defer func() {
		ended.Store(true)
		<-stopped
	}()
	do()
}

// startWholePod does not end the test on failure, because it runs in another goroutine.
func (c *testCluster) startWholePod(t *testing.T, node *cluster.Node, pod string, networks []defaultNetwork) {
	_, err := c.RunKubectl(t.Context(), podManifest(pod, node.Name(), greenAndData), "apply", "-f", "-")
	for _, args := range [][]string{
		{"wait", "--for=condition=Ready", "--timeout=90s", "pod/" + pod},
		{"exec", pod, "--", "sh", "-c", "ip -o link; ip -o -4 addr"},
		{"delete", "pod", pod},
	} {
		var shown string
		if err == nil {
			shown, err = c.RunKubectl(t.Context(), "", args...)
		}
		if err != nil {
			t.Error(err)
			return
		}
		isOf := func(d defaultNetwork) bool { return strings.Contains(shown, "inet "+d.prefix(node)) }
		if args[0] == "exec" && (!slices.ContainsFunc(networks, isOf) ||
			!strings.Contains(shown, green) || !strings.Contains(shown, data)) {
			t.Errorf("%s lacks a network; it has\n%s", pod, shown)
		}
	}
}
