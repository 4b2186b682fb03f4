package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Names in a node's directory.
const (
	dirRoot    = "root"    // the node's own files
	dirOverlay = "overlay" // where the node's /etc differs from the machine's
	fileEnter  = "enter"
)

// writeFiles writes the node's disk: its own directories, and the configuration of its programs.
// Files that Pods left there earlier stay.
func (n *Node) writeFiles(needs needs) error {
	for _, dir := range []string{
		"etc/cni/net.d", "etc/kubernetes/manifests", "etc/containerd", "etc/containers", "etc/crio", "opt/cni/bin",
		nodeBin, "var/lib/cni", "var/lib/kubelet", "var/lib/containerd", "var/log/pods", "var/log/containers",
	} {
		if err := os.MkdirAll(n.Path(dir), 0o755); err != nil {
			return err
		}
	}
	overlay := filepath.Join(n.dir, dirOverlay)
	for _, dir := range []string{"work", "etc/cni", "etc/kubernetes", "etc/containerd", "etc/containers", "etc/crio"} {
		if err := os.MkdirAll(filepath.Join(overlay, dir), 0o755); err != nil {
			return err
		}
	}
	if err := n.writeRuntimeFiles(needs); err != nil {
		return err
	}
	for path, content := range map[string]string{
		filepath.Join(overlay, "etc/hostname"):    n.Name() + "\n",
		filepath.Join(overlay, "etc/hosts"):       n.cluster.hosts(),
		filepath.Join(overlay, "etc/resolv.conf"): "",
		filepath.Join(overlay, "etc/machine-id"):  fmt.Sprintf("%032x\n", n.number),
		n.Path("etc/kubernetes/ca.crt"):           string(n.cluster.ca),
		n.Path("etc/kubernetes/kubelet.yaml"):     n.kubeletConfig(),
	} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	url := fmt.Sprintf("https://%s:%d", controlPlaneIP(), hostAPIServerPort)
	token := n.cluster.nodeUsers[n.number-1].Token
	if err := n.cluster.writeKubeconfig(n.Path("etc/kubernetes/kubelet.conf"), url, token); err != nil {
		return err
	}
	if err := copyFiles(n.cluster.options.Plugins, n.Path("opt/cni/bin")); err != nil {
		return fmt.Errorf("installing the CNI plugins: %w", err)
	}
	if err := copyFile(needs.flannel, n.Path("opt/cni/bin/flannel")); err != nil {
		return fmt.Errorf("installing the CNI plugin flannel: %w", err)
	}
	switch n.cluster.options.CNI {
	case BridgeCNI:
		return os.WriteFile(n.Path("etc/cni/net.d/10-default.conflist"), []byte(n.defaultCNI()), 0o644)
	case FlannelCNI:
		return n.InstallFlannel()
	}
	return nil
}

// FlannelPath is the path of flannel's configuration on each node.
const FlannelPath = "/etc/cni/net.d/10-flannel.conflist"

// InstallFlannel writes flannel's CNI configuration, as the init container of flannel's DaemonSet
// does. Everything else of flannel is always there.
func (n *Node) InstallFlannel() error {
	const config = `{
  "name": "cbr0",
  "cniVersion": "0.3.1",
  "plugins": [
    {"type": "flannel", "delegate": {"hairpinMode": true, "isDefaultGateway": true}},
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`
	return os.WriteFile(n.Path(FlannelPath), []byte(config), 0o644)
}

// writeRuntimeFiles writes the configuration of the node's container runtime, and its programs that
// are scripts.
func (n *Node) writeRuntimeFiles(needs needs) error {
	files, programs := containerdFiles(needs)
	if n.Runtime() == CRIO {
		files, programs = crioFiles(needs)
	}
	for path, content := range files {
		if err := os.WriteFile(n.Path(path), []byte(content), 0o644); err != nil {
			return err
		}
	}
	for name, content := range programs {
		if err := os.WriteFile(n.Path(filepath.Join(nodeBin, name)), []byte(content), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// hosts returns an /etc/hosts that names every machine of the cluster.
func (c *Cluster) hosts() string {
	lines := []string{"127.0.0.1 localhost", "::1 localhost", controlPlaneIP().String() + " control-plane"}
	for _, node := range c.nodes {
		lines = append(lines, node.IP().String()+" "+node.Name())
	}
	return strings.Join(lines, "\n") + "\n"
}

// kubeletConfig returns the kubelet's configuration. It suits a machine that has cgroup v1, that
// may swap, and whose disk may be nearly full. Images are never removed, because they cannot be
// pulled again. The status is reported often, because tests wait for it.
func (n *Node) kubeletConfig() string {
	const format = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: /etc/kubernetes/ca.crt}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix://%s
cgroupDriver: cgroupfs
cgroupRoot: %s
failCgroupV1: false
failSwapOn: false
evictionHard:
  memory.available: 50Mi
  nodefs.available: 1%%
  nodefs.inodesFree: 1%%
  imagefs.available: 1%%
  imagefs.inodesFree: 1%%
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
nodeStatusUpdateFrequency: 2s
nodeStatusReportFrequency: 10s
syncFrequency: 10s
readOnlyPort: 0
staticPodPath: /etc/kubernetes/manifests
`
	return fmt.Sprintf(format, n.runtimeSocket(), n.cgroup())
}

// defaultCNI returns a CNI configuration that connects the node's Pods by a bridge. The routes of
// the underlay connect the nodes.
func (n *Node) defaultCNI() string {
	const format = `{
  "cniVersion": "1.0.0",
  "name": "default",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "cni0",
      "isGateway": true,
      "ipam": {"type": "host-local", "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}]}
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`
	return fmt.Sprintf(format, n.PodSubnet())
}

// writeFlannelSubnet writes the file by which flanneld passes the node's subnet to flannel's CNI
// plugin. Nothing else is left to do for flanneld here: each node has its subnet and the routes to
// the others' from the start.
func (n *Node) writeFlannelSubnet() error {
	gateway := slices.Clone(n.PodSubnet().IP)
	gateway[3] = 1
	content := fmt.Sprintf("FLANNEL_NETWORK=%s\nFLANNEL_SUBNET=%s/24\nFLANNEL_MTU=1500\nFLANNEL_IPMASQ=false\n",
		podNetwork(), gateway)
	// The root directory of the first process has the node's own /run.
	dir := fmt.Sprintf("/proc/%d/root/run/flannel", n.host.pid)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("writing flannel's subnet: %w", err)
	}
	return os.WriteFile(filepath.Join(dir, "subnet.env"), []byte(content), 0o644)
}

// writeEnter writes a script that runs a command, by default a shell, on the node.
func (n *Node) writeEnter() error {
	const format = `#!/bin/sh
# Runs a command, by default a shell, on %s.
[ $# -gt 0 ] || set -- sh
export %s
exec nsenter --target %d --net --pid --mount --uts --ipc -- "$@"
`
	path := filepath.Join(n.dir, fileEnter)
	err := os.WriteFile(path, []byte(fmt.Sprintf(format, n.Name(), nodePath, n.host.pid)), 0o700)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// copyFiles copies the files of a directory. Links would not do: a node that writes to a file would
// change it for all nodes.
func copyFiles(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := copyFile(filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}
