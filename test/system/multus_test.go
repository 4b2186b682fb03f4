package system

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

const multusConfPath = "/etc/cni/net.d/00-multus.conf"

// multusConf is what Multus's installer makes where flannel was there before, whose version it
// takes.
const multusConf = `{
  "cniVersion": "0.3.1",
  "name": "multus-cni-network",
  "type": "multus",
  "capabilities": {"portMappings": true},
  "kubeconfig": "/etc/cni/net.d/multus.d/multus.kubeconfig",
  "confDir": "/etc/cni/multus/net.d",
  "logFile": "/var/log/multus.log",
  "logLevel": "verbose",
  "delegates": [{
    "cniVersion": "0.3.1",
    "name": "cbr0",
    "plugins": [
      {"type": "flannel", "delegate": {"hairpinMode": true, "isDefaultGateway": true}},
      {"type": "portmap", "capabilities": {"portMappings": true}}
    ]
  }]
}
`

// multusRights are those of Multus's own manifest.
const multusRights = `apiVersion: v1
kind: ServiceAccount
metadata: {name: multus, namespace: kube-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: multus}
rules:
- {apiGroups: [k8s.cni.cncf.io], resources: ["*"], verbs: ["*"]}
- {apiGroups: [""], resources: [pods, pods/status], verbs: [get, list, update, watch]}
- {apiGroups: ["", events.k8s.io], resources: [events], verbs: [create, patch, update]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: multus}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: multus}
subjects: [{kind: ServiceAccount, name: multus, namespace: kube-system}]`

// The networks of Pods that were written for Multus. disk has its configuration on the nodes.
var (
	nads = []string{
		nad("default", "macvlan", `{"cniVersion": "1.0.0", "type": "macvlan", "master": "eth0", "mode": "bridge"}`),
		nad("default", "static", `{"cniVersion": "1.0.0", "type": "macvlan", "master": "eth0", "mode": "bridge",
			"capabilities": {"ips": true, "mac": true}, "ipam": {"type": "static"}}`),
		nad("default", "bridge", `{"cniVersion": "1.0.0", "type": "bridge", "bridge": "data-br",
			"ipam": {"type": "host-local", "subnet": "192.168.62.0/24"}}`),
		nad("default", "chain", `{"cniVersion": "1.0.0", "plugins": [{"type": "bridge", "bridge": "data-br",
			"ipam": {"type": "host-local", "subnet": "192.168.63.0/24"}},
			{"type": "tuning", "mtu": 1400, "capabilities": {"mac": true}}]}`),
		nad("kube-system", "infra", `{"cniVersion": "1.0.0", "type": "bridge", "bridge": "data-br",
			"isGateway": true, "ipam": {"type": "host-local", "subnet": "192.168.64.0/24",
			"routes": [{"dst": "0.0.0.0/0"}]}}`),
		strings.Replace(nad("default", "device", `{"cniVersion": "1.0.0", "type": "nic", "bridge": "data-br"}`),
			`"namespace"`, `"annotations": {"k8s.v1.cni.cncf.io/resourceName": "`+nicResource+`"}, "namespace"`, 1),
		"apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nmetadata: {name: disk, namespace: default}",
	}
	nadOnDisk = `{"cniVersion": "1.0.0", "name": "disk", "plugins": [{"type": "bridge", "bridge": "data-br",
		"ipam": {"type": "host-local", "subnet": "192.168.65.0/24"}}]}`
)

func nad(namespace, name, config string) string {
	return `{"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition", "metadata": {"name": "` + name +
		`", "namespace": "` + namespace + `"}, "spec": {"config": ` + quoted(config) + `}}`
}

// tokenOf matches the token in a kubeconfig.
var tokenOf = regexp.MustCompile(`("?token"?: *)"?[^"\s,}]+"?`)

// installMultus makes the cluster one whose Pods were written for Multus, which attaches them.
func (c *testCluster) installMultus(t *testing.T) {
	t.Helper()
	binaries, err := cluster.Build(t.Context(), os.Stderr, cluster.Multus)
	must(t, err)
	binary, err := os.ReadFile(binaries[cluster.Multus])
	must(t, err)
	c.kubectl(t, "apply", "-f", "manifests/network-attachment-definition-crd.yaml", "-f", "manifests/network-crd.yaml")
	c.kubectl(t, "wait", "--for=condition=Established", "crd/network-attachment-definitions.k8s.cni.cncf.io")
	c.apply(t, append([]string{multusRights}, nads...)...)
	devicePlugin := c.buildDevicePlugin(t)
	token := c.kubectl(t, "-n", "kube-system", "create", "token", "multus")
	for _, node := range c.Nodes() {
		kubeconfig, err := os.ReadFile(node.Path("/etc/kubernetes/kubelet.conf"))
		must(t, err)
		withToken := tokenOf.ReplaceAllString(string(kubeconfig), `${1}"`+token+`"`)
		for path, content := range map[string]string{
			"/etc/cni/net.d/multus.d/multus.kubeconfig": withToken,
			"/etc/cni/multus/net.d/disk.conflist":       nadOnDisk,
			"/opt/cni/bin/multus":                       string(binary),
			"/opt/cni/bin/nic":                          nicPlugin,
		} {
			c.writeFile(t, node, path, content)
		}
		c.writeFile(t, node, multusConfPath, multusConf) // last: it makes the node ready
		c.startDevicePlugin(t, node, devicePlugin)
	}
	c.nodesReady(t)
}

// writeFile writes a file of a node, as a program.
func (c *testCluster) writeFile(t *testing.T, node *cluster.Node, path, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(node.Path(path)), 0o755))
	must(t, os.WriteFile(node.Path(path), []byte(content), 0o755))
}

// convertMultus converts the netconf of a node, and returns kactus's.
func (c *testCluster) convertMultus(t *testing.T, node *cluster.Node) string {
	t.Helper()
	const program = "/opt/bin/kactus-of-the-image"
	binary, err := os.ReadFile(c.binary())
	must(t, err)
	c.writeFile(t, node, program, string(binary))
	netconf, err := node.Command(t.Context(), program, "validate", "--from-multus", multusConfPath).Output()
	must(t, err)
	t.Logf("kactus's netconf:\n%s", netconf)
	return strings.TrimSpace(string(netconf))
}

// installKactusWhere applies the manifests as docs/migrating-from-multus.md says: for nodes that
// have a label, with that netconf.
func (c *testCluster) installKactusWhere(t *testing.T, label, netconf string) {
	t.Helper()
	dir := t.TempDir()
	manifests, err := filepath.Rel(dir, c.path("manifests"))
	must(t, err)
	key, value, _ := strings.Cut(label, "=")
	kustomization := `{"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
		"resources": [` + quoted(manifests) + `], "patches": [
		{"target": {"kind": "DaemonSet"}, "patch": ` + quoted(`[{"op": "add",
			"path": "/spec/template/spec/nodeSelector/`+key+`", "value": `+quoted(value)+`}]`) + `},
		{"target": {"kind": "ConfigMap", "name": "kactus"}, "patch": ` + quoted(`[{"op": "replace",
			"path": "/data/00-kactus.conf", "value": `+quoted(netconf)+`}]`) + `}]}`
	must(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(kustomization), 0o600))
	c.kubectl(t, "apply", "-k", dir)
}
