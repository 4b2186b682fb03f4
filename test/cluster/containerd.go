package cluster

import "fmt"

const (
	containerdConfigFile = "/etc/containerd/config.toml"
	containerdSocket     = "/run/containerd/containerd.sock"
)

// containerdFiles returns the files of a node with containerd, and its programs.
func containerdFiles(needs needs) (files, programs map[string]string) {
	return map[string]string{containerdConfigFile: containerdConfig(needs.runc)},
		map[string]string{importProgram: "#!/bin/sh\nexec ctr --namespace k8s.io images import -\n"}
}

// containerdConfig returns containerd's configuration. It sets restrict_oom_score_adj because the
// machine's root may lack CAP_SYS_RESOURCE, which lowering a process's OOM score requires.
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
