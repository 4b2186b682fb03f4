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

// Folders of a node's folder.
const (
	folderRoot    = "root"    // the node's own files
	folderOverlay = "overlay" // what differs between the node's /etc and the machine's
	fileEnter     = "enter"
)

// writeFiles makes the node's disk: the folders that are its own, and the configuration of
// what runs there. What Pods left from an earlier start stays.
func (n *Node) writeFiles(needs needs) error {
	for _, folder := range []string{
		"etc/cni/net.d", "etc/kubernetes", "etc/containerd", "opt/cni/bin", strings.TrimPrefix(nodeBin, "/"),
		"var/lib/cni", "var/lib/kubelet", "var/lib/containerd", "var/log/pods", "var/log/containers",
	} {
		if err := os.MkdirAll(n.Path(folder), 0o755); err != nil {
			return err
		}
	}
	overlay := filepath.Join(n.dir, folderOverlay)
	for _, folder := range []string{"work", "etc/cni", "etc/kubernetes", "etc/containerd"} {
		if err := os.MkdirAll(filepath.Join(overlay, folder), 0o755); err != nil {
			return err
		}
	}
	for path, content := range map[string]string{
		filepath.Join(overlay, "etc/hostname"):    n.Name() + "\n",
		filepath.Join(overlay, "etc/hosts"):       n.cluster.hosts(),
		filepath.Join(overlay, "etc/resolv.conf"): "",
		filepath.Join(overlay, "etc/machine-id"):  fmt.Sprintf("%032x\n", n.number),
		n.Path("etc/kubernetes/ca.crt"):           string(n.cluster.ca),
		n.Path("etc/kubernetes/kubelet.yaml"):     n.kubeletConfig(),
		n.Path("etc/containerd/config.toml"):      containerdConfig(needs.runc),
	} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	url := fmt.Sprintf("https://%s:%d", controlPlaneIP(), hostAPIServerPort)
	if err := n.cluster.writeKubeconfig(n.Path("etc/kubernetes/kubelet.conf"), url, n.cluster.nodeUsers[n.number-1].Token); err != nil {
		return err
	}
	if err := copyFiles(n.cluster.options.Plugins, n.Path("opt/cni/bin")); err != nil {
		return fmt.Errorf("installing the CNI plugins: %w", err)
	}
	if err := copyFile(needs.flannel, n.Path("opt/cni/bin/flannel")); err != nil {
		return fmt.Errorf("installing the CNI plugin flannel: %w", err)
	}
	if n.cluster.options.DefaultCNI {
		return os.WriteFile(n.Path("etc/cni/net.d/10-default.conflist"), []byte(n.defaultCNI()), 0o644)
	}
	return nil
}

// hosts gives every machine of the cluster its name.
func (c *Cluster) hosts() string {
	lines := []string{"127.0.0.1 localhost", "::1 localhost", controlPlaneIP().String() + " control-plane"}
	for _, node := range c.nodes {
		lines = append(lines, node.IP().String()+" "+node.Name())
	}
	return strings.Join(lines, "\n") + "\n"
}

// kubeletConfig is for a machine that mounts cgroups of the first version, maybe swaps and
// whose disk may be nearly full; images cannot be pulled again, so that none is ever
// thrown away. It reports often, because tests wait for what it reports.
func (n *Node) kubeletConfig() string {
	const format = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: /etc/kubernetes/ca.crt}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
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
`
	return fmt.Sprintf(format, n.cgroup())
}

// containerdConfig: the machine's root may lack CAP_SYS_RESOURCE, without which a process
// cannot be made less likely to be killed than its parent.
func containerdConfig(runc string) string {
	const format = `version = 3
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
  address = "/run/containerd/containerd.sock"

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = %q

[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["/opt/cni/bin"]
  conf_dir = "/etc/cni/net.d"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
    BinaryName = %q
    SystemdCgroup = false
`
	return fmt.Sprintf(format, sandboxImage, runc)
}

// defaultCNI joins a node's Pods by a bridge; the routes of the underlay do the rest.
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

// writeFlannelSubnet does what is left of flanneld's part, where each node has its subnet
// and the routes to the others' from the start: it tells flannel's CNI plugin which.
func (n *Node) writeFlannelSubnet() error {
	gateway := slices.Clone(n.PodSubnet().IP)
	gateway[3] = 1
	content := fmt.Sprintf("FLANNEL_NETWORK=%s\nFLANNEL_SUBNET=%s/24\nFLANNEL_MTU=1500\nFLANNEL_IPMASQ=false\n", podNetwork(), gateway)
	// The way through the first process leads to the node's own /run.
	folder := fmt.Sprintf("/proc/%d/root/run/flannel", n.host.pid)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("writing flannel's subnet: %w", err)
	}
	return os.WriteFile(filepath.Join(folder, "subnet.env"), []byte(content), 0o644)
}

// writeEnter writes a script that runs a command, or else a shell, on the node.
func (n *Node) writeEnter() error {
	const format = `#!/bin/sh
# Runs a command, or else a shell, on %s.
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

// copyFiles copies the files of a folder: linked, a node that writes to one would change
// them all.
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
