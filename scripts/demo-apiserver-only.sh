#!/usr/bin/env bash
# Shows kactus without a kubelet: two network namespaces, which stand for Pods, are attached to the
# networks green and blue and detached again.
set -euo pipefail

usage() {
	cat <<'END'
Usage: scripts/demo.sh --apiserver-only [--no-install]

Builds kactus, the CNI plugins, etcd and kube-apiserver (the first run compiles for minutes), and
then, in network namespaces of its own,

  * starts a control plane, and applies the CRD and the networks green, blue and data;
  * creates two nodes, joined by a cable, and a Pod on each: app1 and app2, which ask for the
    networks green and blue;
  * ADDs both, shows their interfaces, and pings app2 from app1 over each network;
  * hot adds data to app1, shows its interface, and hot deletes it;
  * DELs both, and shows that nothing is left.

Needs root and Go. Names the Debian packages that the machine lacks, and installs them, but not with
--no-install. Cleans up after itself, but for those.
END
}

no_install=''
case "${1-}" in
	'') ;;
	--no-install) no_install=$1 ;;
	-h | --help) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
esac

cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

say() { printf '\n== %s\n' "$*"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }

source scripts/packages.sh
need_packages demo apiserver-only
[ "$(id -u)" = 0 ] || die 'needs root, for network namespaces'

# The network namespaces of the demonstration.
readonly node1=kactus-demo-node1 node2=kactus-demo-node2
readonly -A netns=([app1]=kactus-demo-app1 [app2]=kactus-demo-app2)
readonly -A node=([app1]=$node1 [app2]=$node2)
readonly -A container=([app1]=kactus-demo-1 [app2]=kactus-demo-2)
readonly node1_ip=10.44.0.1 node2_ip=10.44.0.2

state=$(mktemp -d /tmp/kactus-demo.XXXXXX)
cleanup() {
	local code=$?
	trap - EXIT INT TERM HUP
	trap '' INT TERM HUP # a second signal must not interrupt the cleanup
	if [ -d "$state/cluster" ]; then
		bin/demo/cluster down --dir "$state/cluster" 2>/dev/null || true
	fi
	for ns in "$node1" "$node2" "${netns[@]}"; do
		ip netns del "$ns" 2>/dev/null || true
	done
	rm -rf "$state"
	[ "$code" = 0 ] || printf '\ndemo: failed with exit code %s; cleaned up\n' "$code" >&2
	exit "$code"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

for ns in "$node1" "$node2" "${netns[@]}"; do
	ip netns del "$ns" 2>/dev/null || true # left by a run that was killed
done

# on NETNS COMMAND... runs a command in a network namespace.
on() {
	local ns=$1
	shift
	nsenter "--net=/run/netns/$ns" "$@"
}

build() {
	say 'building kactus and the CNI plugins'
	./build.sh
	mkdir -p bin/cni bin/demo
	CGO_ENABLED=0 go build -trimpath -o bin/cni/ tool
	CGO_ENABLED=0 go build -trimpath -o bin/demo/cluster ./test/cluster/cmd/cluster
	bin/kactus version
	say 'building etcd, kube-apiserver and kubectl (minutes the first time; kept for the next)'
	bin/demo/cluster build --control-plane >"$state/parts"
	kubectl=$(sed -n 's/^kubectl=//p' "$state/parts")
}

# make_nodes creates two nodes, and a cable between them, which is eth0 on each.
make_nodes() {
	say 'creating two nodes, joined by a cable, and a network namespace for each Pod'
	for ns in "$node1" "$node2" "${netns[@]}"; do
		ip netns add "$ns"
		ip -n "$ns" link set lo up
	done
	ip link add eth0 netns "$node1" type veth peer name eth0 netns "$node2"
	ip -n "$node1" addr add "$node1_ip/24" dev eth0
	ip -n "$node2" addr add "$node2_ip/24" dev eth0
	ip -n "$node1" link set eth0 up
	ip -n "$node2" link set eth0 up
}

# choose_kind decides how the networks green and blue are made: as VLANs if the kernel has vlan
# interfaces.
choose_kind() {
	if ip -n "$node1" link add link eth0 name probe type vlan id 4000 2>/dev/null; then
		ip -n "$node1" link del probe
		kind=vlan
		say "this kernel has vlan interfaces: green and blue are the VLANs 42 and 43 on the nodes' eth0"
	else
		kind=bridge
		say 'this kernel has no vlan interfaces: green and blue are bridges on each node, each with its own cable'
		for net in green blue; do
			ip link add "cable-$net" netns "$node1" type veth peer name "cable-$net" netns "$node2"
			for n in "$node1" "$node2"; do
				ip -n "$n" link add "$net" type bridge
				ip -n "$n" link set "$net" up
				ip -n "$n" link set "cable-$net" master "$net" up
			done
		done
	fi
}

start_control_plane() {
	say 'starting etcd and kube-apiserver on node1'
	mkdir "$state/cluster"
	on "$node1" bin/demo/cluster up --dir "$state/cluster" --listen "$node1_ip" >/dev/null
	sed "s#https://127.0.0.1:#https://$node1_ip:#" "$state/cluster/kubeconfig" >"$state/kubeconfig"
	chmod 600 "$state/kubeconfig"
}

kube() { on "$node1" "$kubectl" --kubeconfig "$state/kubeconfig" --cache-dir "$state/kubectl" "$@"; }

# network NAME VLAN prints a Network.
network() {
	local config
	if [ "$kind" = vlan ]; then
		config="\"type\": \"vlan\", \"master\": \"eth0\", \"vlanId\": $2"
	else
		config="\"type\": \"bridge\", \"bridge\": \"$1\""
	fi
	cat <<END
apiVersion: kaloom.com/v1
kind: Network
metadata:
  name: $1
spec:
  config: |
    { $config,
      "ipam": { "type": "host-local", "dataDir": "$state/leases", "ranges": [[{ "subnet": "192.168.$2.0/24" }]] } }
END
}

# pod NAME prints a Pod.
pod() {
	cat <<END
apiVersion: v1
kind: Pod
metadata:
  name: $1
  annotations:
    networks: '[ { "name": "green" }, { "name": "blue" } ]'
spec:
  containers: [ { name: app, image: app } ]
END
}

apply() {
	say 'applying the CRD, the networks green, blue and data, and the Pods app1 and app2'
	kube apply -f manifests/network-crd.yaml
	kube wait --for=condition=Established crd/networks.kaloom.com >/dev/null
	network green 42 | kube apply -f -
	network blue 43 | kube apply -f -
	sed "s#\"type\": \"host-local\",#& \"dataDir\": \"$state/leases\",#" examples/data-net.yaml | kube apply -f -
	pod app1 | kube apply -f -
	pod app2 | kube apply -f -
	kube get networks
}

write_netconf() {
	cat >"$state/kactus.conf" <<END
{
  "cniVersion": "1.0.0",
  "name": "kactus-demo",
  "type": "kactus",
  "kubeconfig": "$state/kubeconfig",
  "cniDir": "$state/ledger",
  "lockDir": "$state/locks",
  "delegates": [
    { "type": "ptp", "masterPlugin": true,
      "ipam": { "type": "host-local", "dataDir": "$state/leases", "subnet": "10.45.0.0/24" } }
  ]
}
END
	bin/kactus validate "$state/kactus.conf"
}

# kactus OPERATION POD INTERFACE [MORE_ARGS] runs kactus as a container runtime does.
kactus() {
	local pod=$2
	local args="IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=$pod"
	args+=";K8S_POD_INFRA_CONTAINER_ID=${container[$pod]}${4-}"
	printf '   CNI_COMMAND=%s CNI_CONTAINERID=%s CNI_IFNAME=%s CNI_ARGS=%s bin/kactus\n' \
		"$1" "${container[$pod]}" "$3" "$args"
	on "${node[$pod]}" env -i "PATH=$PATH" "CNI_PATH=$PWD/bin/cni" "CNI_COMMAND=$1" \
		"CNI_CONTAINERID=${container[$pod]}" "CNI_NETNS=/run/netns/${netns[$pod]}" "CNI_IFNAME=$3" \
		"CNI_ARGS=$args" bin/kactus <"$state/kactus.conf" >"$state/out" || {
		cat "$state/out" >&2
		die "$1 of $pod failed"
	}
}

# interface NETWORK prints the name of the network's interface.
interface() { bin/kactus device-name "$1" | cut -d' ' -f1; }

# address POD INTERFACE prints the interface's IPv4 address.
address() {
	ip -n "${netns[$1]}" -4 -o addr show dev "$2" | awk '{ sub("/.*", "", $4); print $4 }'
}

# ping_over NETWORK pings app2 from app1.
ping_over() {
	local dev target
	dev=$(interface "$1")
	target=$(address app2 "$dev")
	say "app1 pings app2 ($target) over $1 ($dev)"
	on "${netns[app1]}" ping -c 2 -W 5 -I "$dev" "$target"
}

# left lists everything that an ADD creates and a DEL must remove. Two files are host-local's own
# bookkeeping, not leases.
left() {
	for p in app1 app2; do
		ip -n "${netns[$p]}" -o link | awk -F': ' -v p="$p" '$2 != "lo" { print "interface " $2 " in " p }'
	done
	for n in "$node1" "$node2"; do
		ip -n "$n" -o link show type veth |
			awk -F'[:@ ]+' -v n="$n" '$2 != "eth0" && $2 !~ /^cable-/ { print "interface " $2 " on " n }'
	done
	if [ "$kind" = vlan ]; then
		for n in "$node1" "$node2"; do ip -n "$n" -o link show type vlan | sed "s/^/vlan on $n: /"; done
	fi
	find "$state/leases" -type f ! -name 'last_reserved_ip.*' ! -name lock -printf 'lease %p\n'
	find "$state/ledger" -type f -printf 'record %p\n'
}

# show POD prints the Pod's interfaces and addresses.
show() {
	say "ip addr in $1"
	ip -n "${netns[$1]}" addr
}

build
make_nodes
choose_kind
start_control_plane
apply
write_netconf

say 'ADD of app1 and app2, as the container runtime does when it starts a Pod'
kactus ADD app1 eth0
kactus ADD app2 eth0
show app1
show app2
ping_over green
ping_over blue

say 'hot add of data to the running Pod app1, as a node agent does'
kactus ADD app1 "$(interface data)" ';K8S_POD_NETWORK=data;K8S_POD_IFMAC='
ip -n "${netns[app1]}" addr show dev "$(interface data)"
say 'hot delete of data: the other networks stay'
kactus DEL app1 "$(interface data)" ';K8S_POD_NETWORK=data;K8S_POD_IFMAC='
ip -n "${netns[app1]}" -br addr

say 'DEL of app1 and app2'
kactus DEL app1 eth0
kactus DEL app2 eth0
say 'what is left of the Pods: interfaces, leases, records of the ledger'
left >"$state/left"
if [ -s "$state/left" ]; then
	cat "$state/left"
	die 'something is left'
fi
echo 'nothing'
say 'done'
