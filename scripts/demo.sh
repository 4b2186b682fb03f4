#!/usr/bin/env bash
# Shows kactus on a cluster of two nodes, installed from the manifests, with the example of
# docs/networks.md.
set -euo pipefail

usage() {
	cat <<'END'
Usage: scripts/demo.sh [OPTION...]

Builds kactus and a Kubernetes cluster (the first run compiles for minutes), and then

  * starts the cluster: two nodes, joined by a bridge, each with a kubelet, a containerd, a network
    of its own, and flannel as the default network;
  * installs kactus with kubectl apply -k manifests;
  * applies the example: the networks green and blue, and the Deployments app1 and app2, one on each
    node;
  * shows the interfaces of app1, and pings app2 from it over each network;
  * adds the network data to the running app1 by its annotation, shows the interface, the event and
    the condition, removes it again, and shows that app1 never restarted;
  * deletes the example, shows that nothing is left on the nodes, and takes the cluster down.

  --keep            leave the cluster and the example running, and print how to use them and how to
                    take them down
  --apiserver-only  run the small demonstration instead: kactus in network namespaces, with hot add
                    and hot delete, and nothing of Kubernetes but a kube-apiserver
  --no-install      do not install Debian packages: if some are missing, name them and fail
  -h, --help        print this help

Needs root and Go. Names the Debian packages that the machine lacks, and installs them. Cleans up
after itself, but for those.
END
}

cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

keep='' small='' no_install=''
for option; do
	case $option in
		--keep) keep=yes ;;
		--apiserver-only) small=yes ;;
		--no-install) no_install=$option ;;
		-h | --help) usage; exit 0 ;;
		*) usage >&2; exit 2 ;;
	esac
done
if [ -n "$small" ]; then
	[ -z "$keep" ] || { echo 'demo: --keep and --apiserver-only cannot be combined' >&2; exit 2; }
	exec scripts/demo-apiserver-only.sh $no_install
fi

say() { printf '\n== %s\n' "$*"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }

source scripts/packages.sh
need_packages demo demo
[ "$(id -u)" = 0 ] || die 'needs root, for network namespaces'

state=$(mktemp -d /tmp/kactus-demo.XXXXXX)
cluster=$state/cluster building=''
cleanup() {
	local code=$?
	trap - EXIT INT TERM HUP
	trap '' INT TERM HUP # a second signal must not interrupt the cleanup
	if [ -n "$building" ]; then
		kill "$building" 2>/dev/null || true
		wait "$building" || true
	fi
	[ ! -d "$cluster" ] || bin/demo/cluster down --dir "$cluster" 2>/dev/null || true
	rm -rf "$state"
	[ "$code" = 0 ] || printf '\ndemo: failed with exit code %s; cleaned up\n' "$code" >&2
	exit "$code"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# run prints a command and runs it.
run() {
	printf '\n$ %s\n' "$*"
	"$@"
}

kubectl() { "$kubectl" --kubeconfig "$cluster/kubeconfig" --cache-dir "$state/kubectl" "$@"; }

# build builds the image of kactus while Go downloads the modules of the cluster.
build() {
	say "building kactus and the cluster$(first_time)"
	local arch
	arch=$(go env GOHOSTARCH)
	mkdir -p bin/demo
	# The flags are those of kactus and of the cluster's parts, so that the standard library is
	# compiled once.
	CGO_ENABLED=0 go build -trimpath -o bin/demo/cluster ./test/cluster/cmd/cluster
	bin/demo/cluster build >"$state/parts" &
	building=$!
	scripts/build-docker-image.sh -a "$arch" -o bin/image
	image=bin/image/kactus-$arch.tar
	wait "$building"
	building=''
	kubectl=$(sed -n 's/^kubectl=//p' "$state/parts")
}

# first_time says how long building takes on a machine that has compiled nothing yet: 18 minutes of
# one processor, and a minute for the downloads. The cluster's build says it more exactly, by what
# there is to compile.
first_time() {
	[ ! -e bin/demo/cluster ] || return 0
	printf ': the first time, this takes about %d minutes on %d processors' $((18 / $(nproc) + 1)) "$(nproc)"
}

start() {
	say 'starting a cluster of two nodes'
	mkdir "$cluster"
	bin/demo/cluster up --dir "$cluster" --nodes 2 --cni flannel >/dev/null 2>"$state/up" || {
		cat "$state/up" >&2
		die 'the cluster did not start'
	}
	for node in "$cluster"/node*; do
		"$node/enter" import-image <"$image" >/dev/null 2>"$state/import" || {
			cat "$state/import" >&2
			die 'the image was not imported'
		}
	done
	run kubectl get nodes
}

install() {
	say 'installing kactus'
	run kubectl apply -k manifests
	run kubectl wait --for=condition=Ready node --all --timeout=90s
	run kubectl -n kube-system rollout status daemonset/kactus --timeout=90s
	run kubectl -n kube-system rollout status daemonset/kactus-agent --timeout=90s
}

# If the kernel has no vlan interfaces, the networks are macvlan networks on eth0.
apply_example() {
	if "$cluster/node1/enter" ip link add link eth0 name probe type vlan id 4000 2>/dev/null; then
		"$cluster/node1/enter" ip link del probe
		say 'applying the example: green and blue are the VLANs 42 and 43'
		run kubectl apply -f examples/ips
	else
		say 'applying the example: this kernel has no vlan interfaces, so green and blue are macvlan networks'
		cp -r examples/ips "$state/example"
		sed -i -e 's/plugin: vlan/plugin: macvlan/' -e '/"vlanId"/d' "$state"/example/*-net.yaml
		run kubectl apply -f "$state/example"
	fi
	run kubectl rollout status deployment/app1 --timeout=90s
	run kubectl rollout status deployment/app2 --timeout=90s
	run kubectl get pods -o wide
}

show() {
	say 'the interfaces of app1: eth0, green (net9f27410725ab) and blue (net48d6215903df)'
	run kubectl exec deployment/app1 -- ip a
	say 'app1 pings app2, which is on the other node, over green and over blue'
	for address in 192.168.42.20 192.168.43.20 fd10:42::2 fd10:43::2; do
		run kubectl exec deployment/app1 -- ping -c 2 -W 5 "$address"
	done
}

# The agent of app1's node sees the annotation change, and executes kactus.
hot_add() {
	local pod before networks
	pod=$(kubectl get pods -l app=app1 -o name)
	before=$(containers "$pod")
	networks=$(kubectl get "$pod" -o 'jsonpath={.metadata.annotations.networks}')
	say 'adding the network data to the running app1'
	run kubectl apply -f examples/data-net.yaml
	run kubectl annotate --overwrite "$pod" networks="${networks%]*}, { \"name\": \"data\" } ]"
	interface "$pod" present
	run kubectl exec "$pod" -- ip address show net8d777f385d3d
	await_condition "$pod" '3 networks are attached'
	run kubectl get "$pod" -o \
		'jsonpath={.status.conditions[?(@.type=="kaloom.com/NetworksAttached")]}{"\n"}'
	run kubectl events --for "$pod" --types Normal
	say 'removing it again'
	run kubectl annotate --overwrite "$pod" networks="$networks"
	interface "$pod" absent
	run kubectl exec "$pod" -- ip -oneline link
	[ "$before" = "$(containers "$pod")" ] || die 'app1 was restarted'
	say "app1 never restarted: it is still the container $before"
	run kubectl delete -f examples/data-net.yaml
}

# containers prints the ID of a Pod's container, and how often it was restarted.
containers() {
	kubectl get "$1" -o 'jsonpath={.status.containerStatuses[*].containerID} {.status.containerStatuses[*].restartCount}'
}

# interface waits until data's interface is present in a Pod, or absent.
interface() {
	local found
	for _ in $(seq 300); do
		found=absent
		! kubectl exec "$1" -- ip link show net8d777f385d3d >/dev/null 2>&1 || found=present
		[ "$found" != "$2" ] || return 0
		sleep 0.1
	done
	die "the interface of data is $found after 30 s"
}

await_condition() {
	for _ in $(seq 300); do
		[[ $(kubectl get "$1" -o 'jsonpath={.status.conditions[*].message}') != *"$2"* ]] || return 0
		sleep 0.1
	done
	die "the condition does not say '$2' after 30 s"
}

# left lists everything that an ADD creates and a DEL must remove. Two files are host-local's own
# bookkeeping, not leases.
left() {
	for node in "$cluster"/node*; do
		find "$node"/root/var/lib/cni/{kactus,networks,flannel} -type f \
			! -name 'last_reserved_ip.*' ! -name lock
		"$node/enter" ip -o link | awk -F'[:@ ]+' '$2 !~ /^(lo|eth0|cni0|data-br)$/ { print "interface " $2 }'
		"$node/enter" ls /run/netns
	done
}

remove_example() {
	say 'deleting the example'
	run kubectl delete deployment app1 app2
	run kubectl delete networks.kaloom.com green blue
	say 'what is left on the nodes: interfaces, network namespaces, leases, records of the ledger'
	for _ in $(seq 60); do
		[ -n "$(left)" ] || break
		sleep 0.5
	done
	left >"$state/left"
	if [ -s "$state/left" ]; then
		cat "$state/left"
		die 'something is left'
	fi
	echo 'nothing'
}

build
start
install
apply_example
show
hot_add
if [ -n "$keep" ]; then
	trap - EXIT INT TERM HUP
	cat <<END

== the cluster and the example keep running. To use them:
  export KUBECONFIG=$cluster/kubeconfig PATH=$(dirname "$kubectl"):\$PATH
  kubectl exec -it deployment/app1 -- sh
  $cluster/node1/enter    # a shell on a node
To take it all down:
  bin/demo/cluster down --dir $cluster && rm -r $state
END
	exit 0
fi
remove_example
say 'done'
