# The first process of a host. It sets up the namespaces that it was started in, reports that on
# descriptor 3, and then keeps running to keep the namespaces. Its end ends every process in its PID
# namespace, the network interfaces and the mounts.
#
# A shell reads this script from standard input. The script is only sent once the shell's process ID
# is recorded; if the sender dies before, the shell ends too.
#
# Arguments: the host's name and, for a node, its directory, the name of its cluster's cgroup, and
# the binaries for its /opt/bin.
set -eu

# fake PATH VALUE replaces a kernel setting by one that this host's processes can change alone.
fake() {
	[ -e "$1" ] || return 0
	file=/run/sysctl/$(echo "$1" | tr / _)
	echo "$2" >"$file"
	mount --bind "$file" "$1"
}

setup_node() {
	cgroup=$2
	mount --make-rprivate /
	mount -t proc proc /proc

	# Binaries first, then the node's own directories. The paths stay relative, because a mount may
	# hide the node's directory or a binary.
	cd "$1"
	shift 2
	for binary; do
		>"root/opt/bin/${binary##*/}"
		mount --bind "$binary" "root/opt/bin/${binary##*/}"
	done
	mount -t overlay -o "lowerdir=/etc,upperdir=overlay/etc,workdir=overlay/work" overlay /etc
	mount -t tmpfs -o mode=755 tmpfs /run
	for dir in etc/cni etc/containerd etc/containers etc/crio etc/kubernetes opt var/log var/lib; do
		mount --no-canonicalize --rbind "root/$dir" "/$dir"
	done
	cd /

	# This network namespace's interfaces, with the machine's cgroups.
	mkdir /run/sys
	mount -t sysfs sysfs /run/sys
	mount --rbind /sys/fs/cgroup /run/sys/fs/cgroup
	# The kubelet would ask its runtime about the containers of other clusters, for seconds each.
	mkdir /run/empty
	for other in /run/sys/fs/cgroup/kactus-* /run/sys/fs/cgroup/*/kactus-*; do
		[ ! -d "$other" ] || [ "${other##*/}" = "$cgroup" ] || mount --bind /run/empty "$other"
	done
	mount --move /run/sys /sys
	rmdir /run/sys

	# The kubelet sets these. It must not change the machine's.
	mkdir /run/sysctl
	fake /proc/sys/vm/overcommit_memory 1
	fake /proc/sys/vm/panic_on_oom 0
	fake /proc/sys/kernel/panic 10
	fake /proc/sys/kernel/panic_on_oops 1
	fake /proc/sys/kernel/keys/root_maxkeys 1000000
	fake /proc/sys/kernel/keys/root_maxbytes 25000000
	# A node that starts again looks rebooted.
	read -r boot </proc/sys/kernel/random/uuid
	fake /proc/sys/kernel/random/boot_id "$boot"

	mount --make-rshared /
}

host() {
	name=$1
	shift
	if [ $# -gt 0 ]; then
		setup_node "$@"
		echo "$name" >/proc/sys/kernel/hostname
	fi
	echo 1 >/proc/sys/net/ipv4/ip_forward
	echo ready >&3
	exec 3>&-

	# wait also reaps the orphaned processes of this PID namespace.
	trap 'exit 0' TERM
	sleep infinity &
	wait
}

host "$@"
