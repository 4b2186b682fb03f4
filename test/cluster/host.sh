# The first process of a host: it sets up the namespaces that it was started in, says so
# on descriptor 3, and then stays, so that they stay. Its end is the end of every process
# in its PID namespace, of the network devices and of the mounts.
#
# A shell reads it from standard input, where it arrives once that shell is on record; if
# whoever started the shell dies first, so does the shell.
#
# Arguments: the host's name and, for a node, its folder and the binaries for its /opt/bin.
set -eu

# fake PATH VALUE: a kernel setting that this host's processes may change for themselves.
fake() {
	[ -e "$1" ] || return 0
	file=/run/sysctl/$(echo "$1" | tr / _)
	echo "$2" >"$file"
	mount --bind "$file" "$1"
}

setup_node() {
	mount --make-rprivate /
	mount -t proc proc /proc

	# Binaries first, then the node's own folders, by relative paths that are not made
	# absolute: what is mounted may hide where the node's folder, or a binary, is.
	cd "$1"
	shift
	for binary; do
		>"root/opt/bin/${binary##*/}"
		mount --bind "$binary" "root/opt/bin/${binary##*/}"
	done
	mount -t overlay -o "lowerdir=/etc,upperdir=overlay/etc,workdir=overlay/work" overlay /etc
	mount -t tmpfs -o mode=755 tmpfs /run
	for folder in etc/cni etc/containerd etc/kubernetes opt var/log var/lib; do
		mount --no-canonicalize --rbind "root/$folder" "/$folder"
	done
	cd /

	# This network namespace's devices, with the machine's cgroups.
	mkdir /run/sys
	mount -t sysfs sysfs /run/sys
	mount --rbind /sys/fs/cgroup /run/sys/fs/cgroup
	mount --move /run/sys /sys
	rmdir /run/sys

	# The kubelet sets these; the machine's own shall not change.
	mkdir /run/sysctl
	fake /proc/sys/vm/overcommit_memory 1
	fake /proc/sys/vm/panic_on_oom 0
	fake /proc/sys/kernel/panic 10
	fake /proc/sys/kernel/panic_on_oops 1
	fake /proc/sys/kernel/keys/root_maxkeys 1000000
	fake /proc/sys/kernel/keys/root_maxbytes 25000000
	# A node that starts again has booted.
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

	# Waiting collects the orphans of this PID namespace as well.
	trap 'exit 0' TERM
	sleep infinity &
	wait
}

host "$@"
