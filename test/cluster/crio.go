package cluster

import "fmt"

const (
	crioConfigFile  = "/etc/crio/crio.conf"
	crioSocket      = "/run/crio/crio.sock"
	crioStorage     = "/var/lib/containers/storage"
	crioRunStorage  = "/run/containers/storage"
	crioRuncProgram = "runc-crio"
)

// crioFiles returns the files of a node with CRI-O, and its programs.
func crioFiles(needs needs) (files, programs map[string]string) {
	return map[string]string{
			crioConfigFile: crioConfig(needs.conmon),
			// CRI-O refuses an image name without a registry otherwise.
			"/etc/containers/registries.conf": "unqualified-search-registries = [\"docker.io\"]\n",
			"/etc/containers/policy.json":     `{"default": [{"type": "insecureAcceptAnything"}]}` + "\n",
		}, map[string]string{
			importProgram:   fmt.Sprintf("#!/bin/sh\nexec %s %s %s\n", CRIOImport, crioStorage, crioRunStorage),
			crioRuncProgram: crioRunc(needs.runc),
		}
}

// crioConfig returns CRI-O's configuration. Like any CRI-O, this one keeps its version file where a
// reboot removes it, and so knows that no container is left then.
func crioConfig(conmon string) string {
	const format = `[crio]
root = %[1]q
runroot = %[2]q
storage_driver = "overlay"
log_dir = "/var/log/crio/pods"
version_file = "/run/crio/version"
clean_shutdown_file = "/var/lib/crio/clean.shutdown"

[crio.api]
listen = %[3]q
stream_address = "127.0.0.1"
stream_port = "0"

[crio.runtime]
cgroup_manager = "cgroupfs"
conmon = %[4]q
conmon_cgroup = "pod"
pinns_path = "%[5]s/pinns"
namespaces_dir = "/var/run"
container_exits_dir = "/run/crio/exits"
container_attach_socket_dir = "/run/crio"
hooks_dir = []
enable_criu_support = false
default_capabilities = [
	"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "NET_RAW", "SETGID", "SETPCAP", "SETUID",
]
default_runtime = "runc"

[crio.runtime.runtimes.runc]
runtime_path = "%[5]s/%[6]s"
runtime_type = "oci"
runtime_root = "/run/runc"
monitor_path = %[4]q
monitor_cgroup = "pod"

[crio.image]
pause_image = %[7]q
pause_command = "/bin/sleep infinity"

[crio.network]
network_dir = "/etc/cni/net.d"
plugin_dirs = ["/opt/cni/bin"]

[crio.nri]
enable_nri = false
`
	return fmt.Sprintf(format, crioStorage, crioRunStorage, crioSocket, conmon, nodeBin, crioRuncProgram, sandboxImage)
}

// crioRunc returns a script that runs runc for CRI-O, and first removes from the container's
// configuration what the machine may not allow: the machine's root may lack CAP_SYS_RESOURCE, which
// privileged containers have and lowering a process's OOM score requires, and the cgroup controller
// hugetlb may not be mounted. CRI-O has no settings for these. The configuration has one key on a
// line, and runc ignores keys and capabilities that it does not know.
func crioRunc(runc string) string {
	const format = `#!/bin/sh
previous=''
for arg; do
	case $previous in
		-b | --bundle)
			read -r score </proc/self/oom_score_adj
			sed -i -e "s/\"oomScoreAdj\": *-[0-9]*/\"oomScoreAdj\": $score/" \
				-e 's/"hugepageLimits"/"hugepageLimitsIgnored"/' \
				-e 's/"CAP_SYS_RESOURCE"/"CAP_SYS_RESOURCE_IGNORED"/' "$arg/config.json"
			;;
	esac
	previous=$arg
done
exec %s "$@"
`
	return fmt.Sprintf(format, runc)
}
