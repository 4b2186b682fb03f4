#!/usr/bin/env bash
# Shows kactus on the cluster of the current kubectl context: see usage below.
set -euo pipefail

usage() {
	cat <<'END'
Usage: scripts/try.sh [OPTION...]

Tries kactus on the cluster of the current kubectl context: a cluster of kind, k3d or minikube, or
any other. It says what it will do, and where, and asks; then it

  * installs kactus with kubectl apply -k, unless the cluster has it;
  * starts a Pod on the network green, and shows its interfaces;
  * adds the network data to the running Pod by its annotation, shows the interface, the event and
    the condition, and removes it again;
  * removes everything that it created, also after a failure or Ctrl-C.

  --context NAME     use this context of the kubeconfig
  --kubeconfig FILE  use this kubeconfig
  --image IMAGE      the image of kactus. Without it, the image is built and loaded into the nodes of
                     kind, k3d and minikube; any other cluster needs it
  --pod-image IMAGE  the image of the Pods, with a shell and ip (default: busybox:1)
  --platform NAME    kubeadm or a directory of manifests/platforms (default: what the nodes say)
  --yes              do not ask
  --keep             leave everything, to try more, and print how to remove it
  --remove           remove what --keep, or a run that was killed, left
  -h, --help         print this help

Needs kubectl, and an administrator's rights in the cluster.
END
}

cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

say() { printf '\n== %s\n' "$*"; }
die() { printf 'try: %s\n' "$*" >&2; exit 1; }
wrong() { printf 'try: %s\n\n' "$*" >&2; usage >&2; exit 2; }

kubectl=(kubectl)
image='' pod_image=busybox:1 platform='' yes='' keep='' remove=''
while [ $# -gt 0 ]; do
	if [[ $1 == --*=* ]]; then
		set -- "${1%%=*}" "${1#*=}" "${@:2}"
	fi
	case $1 in
		--context | --kubeconfig | --image | --pod-image | --platform)
			[ -n "${2-}" ] || wrong "$1 needs a value" ;;
	esac
	case $1 in
		--context | --kubeconfig) kubectl+=("$1" "$2"); shift ;;
		--image) image=$2; shift ;;
		--pod-image) pod_image=$2; shift ;;
		--platform) platform=$2; shift ;;
		--yes) yes=yes ;;
		--keep) keep=yes ;;
		--remove) remove=yes ;;
		-h | --help) usage; exit 0 ;;
		*) wrong "unknown option $1" ;;
	esac
	shift
done

# Everything is in this namespace, or is named in its annotations, by which it is removed.
readonly namespace=kactus-try
readonly hot=net8d777f385d3d # the interface of the network data

kube() { "${kubectl[@]}" "$@"; }
try() { kube -n "$namespace" "$@"; }
system() { kube -n kube-system "$@"; }

# run prints a kubectl command as a user would write it, and runs it in the namespace.
run() {
	local arg
	printf '\n$ kubectl -n %s' "$namespace"
	for arg; do
		[[ $arg != *[\ \"\{]* ]] || arg=${arg%%=*}=\'${arg#*=}\'
		printf ' %s' "$arg"
	done
	echo
	try "$@"
}

state=$(mktemp -d)
created=''
finish() {
	local code=$?
	trap - EXIT
	trap '' INT TERM HUP # a second signal must not interrupt the removal
	if [ -n "$created" ] && { [ -z "$keep" ] || [ "$code" != 0 ]; }; then
		[ "$code" = 0 ] || show_trouble
		( remove_all ) || {
			[ "$code" != 0 ] || code=1
			printf '\ntry: not everything was removed; run it again: scripts/try.sh --remove\n' >&2
		}
	fi
	rm -rf "$state"
	[ "$code" = 0 ] || [ -z "$created" ] || printf '\ntry: failed with exit code %s\n' "$code" >&2
	exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# --- what there is

check_prerequisites() {
	command -v kubectl >/dev/null || die 'kubectl: not found; see https://kubernetes.io/docs/tasks/tools'
	context=$(kube config view --minify -o 'jsonpath={.current-context}' 2>"$state/error") ||
		die "no usable kubectl context: $(cat "$state/error"); name one with --context"
	[ -n "$context" ] || die 'no current kubectl context; name one with --context'
	server=$(kube config view --minify -o 'jsonpath={.clusters[0].cluster.server}')
	kube get nodes --request-timeout=20s -o name >/dev/null 2>"$state/error" ||
		die "the cluster of the context $context does not answer: $(tail -n 1 "$state/error")"
	[ "$(kube auth can-i '*' '*' --all-namespaces 2>/dev/null)" = yes ] ||
		die "no administrator's rights in the cluster of the context $context: kubectl auth can-i '*' '*' says no"
}

# look finds the nodes, their platform, and whether kactus is there.
look() {
	local info
	mapfile -t nodes < <(kube get nodes -l kubernetes.io/os=linux -o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}')
	[ ${#nodes[@]} -gt 0 ] || die 'the cluster has no Linux nodes'
	info=$(kube get nodes -l kubernetes.io/os=linux -o \
		'jsonpath={range .items[*]}{.spec.providerID} {.status.nodeInfo.kubeletVersion} {.status.nodeInfo.osImage} {.metadata.labels}{"\n"}{end}')
	arch=$(kube get nodes -l kubernetes.io/os=linux -o 'jsonpath={.items[0].status.nodeInfo.architecture}')
	[ -n "$platform" ] || platform=$(platform_of "$info")
	manifests=manifests
	[ "$platform" = kubeadm ] || manifests=manifests/platforms/$platform
	[ -d "$manifests" ] || die "--platform $platform: must be kubeadm or one of $(ls manifests/platforms | xargs)"
	distribution=$(distribution_of "$info")
	present=$(kube get daemonsets -A -l app.kubernetes.io/name=kactus -o 'jsonpath={.items[*].metadata.namespace}')
	agent=$(kube get daemonsets -A -l app.kubernetes.io/name=kactus-agent -o name)
}

platform_of() {
	case $1 in
		*+k3s*) echo k3s ;;
		*+rke2*) echo rke2 ;;
		*microk8s.io/cluster*) echo microk8s ;;
		*node.openshift.io/os_id*) echo openshift ;;
		*' Talos '*) echo talos ;;
		*) echo kubeadm ;;
	esac
}

# distribution_of prints what can load an image into the nodes, and the cluster's name for it.
distribution_of() {
	case $1:$context in
		kind://*:kind-*) echo "kind ${context#kind-}" ;;
		*:k3d-*) echo "k3d ${context#k3d-}" ;;
		*minikube.k8s.io/name*) echo "minikube $context" ;;
	esac
}

# check_image decides where the image of kactus comes from.
check_image() {
	[ -z "$present" ] && [ -z "$image" ] || return 0
	[ -n "$distribution" ] ||
		die 'the nodes of this cluster pull their images: push one, with' \
			'scripts/build-docker-image.sh -t REGISTRY/kactus:TAG -p, and name it with --image REGISTRY/kactus:TAG'
	local tool=${distribution%% *}
	command -v "$tool" >/dev/null || die "$tool: not found, which loads the image into the nodes; or name one with --image"
	command -v go >/dev/null || die 'go: not found, to build the image; or name one with --image'
}

# render prints the manifests, with the image, and without the CRD if the cluster has it already.
render() {
	kube kustomize "$manifests" | sed "s#image: kactus:latest\$#image: $image#" | awk -v crd="${crd:+kept}" '
		$0 == "---" { flush(); next }
		{ doc = doc $0 "\n" }
		END { flush() }
		function flush() {
			if (crd == "" || doc !~ /(^|\n)kind: CustomResourceDefinition\n/) printf "---\n%s", doc
			doc = ""
		}'
}

# check_leftovers refuses a cluster where parts of kactus are, but no installer. The CRD may be: it
# stays.
check_leftovers() {
	local found
	[ -z "$present" ] || return 0
	crd=$(kube get crd networks.kaloom.com --ignore-not-found -o name)
	render >"$state/rendered"
	found=$(kube get -f "$state/rendered" --ignore-not-found -o name | sed '/^customresourcedefinition/d' | xargs)
	[ -z "$found" ] || die "the cluster has parts of kactus, but not its DaemonSet; remove them first: $found"
}

ask() {
	say "kactus on the cluster of the context $context"
	printf '%s\n' "The cluster is at $server; its ${#nodes[@]} nodes are: ${nodes[*]}." ''
	if [ -n "$present" ]; then
		echo "It has kactus already, in the namespace $present, which stays as it is. This creates, and removes again:"
	else
		echo "It has no kactus. This creates, and removes again:"
		printf '%s\n' "  * kactus, with kubectl apply -k $manifests, in the namespace kube-system: on each node, its binary" \
			'    beside the CNI plugins and its configuration, which comes before that of the default network.' \
			'    Pods that start meanwhile get their default network through kactus' \
			"  * its image: ${image:-built here, and loaded into the nodes by ${distribution%% *}}"
		[ -n "$crd" ] || echo '  * the CustomResourceDefinition networks.kaloom.com'
	fi
	printf '%s\n' "  * the namespace $namespace, with the networks green and data, a Deployment, and on each node a Pod" \
		"    of the image $pod_image that sees the node's files"
	[ -z "$yes" ] || return 0
	[ -t 0 ] || die 'not a terminal, to ask on; --yes does not ask'
	printf '\nGo on? [y/N] '
	local answer
	read -r answer
	[[ $answer == [yY]* ]] || die 'nothing was done'
}

# --- helpers: a Pod on each node that sees the node's files

start_namespace() {
	created=yes
	kube create -f - <<END
apiVersion: v1
kind: Namespace
metadata:
  name: $namespace
  labels: { pod-security.kubernetes.io/enforce: privileged }
  annotations:
    kactus-try/crd: "${crd:+kept}"
    kactus-try/manifests: "$manifests"
    kactus-try/pod-image: "$pod_image"
END
	start_helpers
}

start_helpers() {
	local node
	for node in "${nodes[@]}"; do
		helper_manifest "$node"
	done | try apply -f - >/dev/null
	try wait --for=condition=Ready pod -l app=helper --timeout=120s >/dev/null 2>"$state/error" ||
		die "the helpers did not start (image $pod_image; --pod-image names another): $(cat "$state/error")"
}

helper_manifest() {
	cat <<END
---
apiVersion: v1
kind: Pod
metadata: { name: "helper-$1", labels: { app: helper } }
spec:
  nodeName: "$1"
  hostNetwork: true
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  tolerations: [ { operator: Exists } ]
  containers:
    - name: helper
      image: "$pod_image"
      imagePullPolicy: IfNotPresent
      command: [sleep, "1000000"]
      securityContext: { runAsUser: 0, capabilities: { add: [NET_ADMIN, DAC_OVERRIDE, SYS_CHROOT] } }
      volumeMounts: [ { name: node, mountPath: /node } ]
  volumes: [ { name: node, hostPath: { path: / } } ]
END
}

# on NODE COMMAND... runs a command of the helper's image, in the node's network.
on() { try exec "helper-$1" -- "${@:2}"; }

# directory OPTION prints the CNI directory that an option of the installer names.
directory() {
	if [ -n "$present" ]; then
		kube -n "${present%% *}" get daemonset -l app.kubernetes.io/name=kactus -o \
			'jsonpath={.items[0].spec.template.spec.containers[0].args}' | tr '",[]' '\n' | sed -n "s/^-*$1=//p" | head -n 1
	else
		kube kustomize "$manifests" | sed -n "s/^ *- -$1=//p" | head -n 1
	fi
}

# choose_plugins chooses the plugins of the networks, among those that every node has.
choose_plugins() {
	local node plugins common='' bin
	bin=$(directory bin-dir)
	bin=${bin:-/opt/cni/bin}
	say "the CNI plugins in $bin"
	for node in "${nodes[@]}"; do
		plugins=$(on "$node" ls "/node$bin" 2>/dev/null | xargs) || plugins=''
		echo "$node: ${plugins:-none}"
		[ "$node" = "${nodes[0]}" ] && common=" $plugins " && continue
		common=" $(for plugin in $common; do [[ " $plugins " != *" $plugin "* ]] || echo "$plugin"; done | xargs) "
	done
	[[ $common == *' host-local '* ]] || die "not all nodes have the IPAM plugin host-local in $bin"
	for plugin in bridge ptp; do
		if [[ $common == *" $plugin "* ]]; then
			echo "the networks green and data are networks of the plugin $plugin"
			return
		fi
	done
	die "not all nodes have one of the plugins bridge and ptp in $bin: install them, from" \
		'https://github.com/containernetworking/plugins/releases'
}

# begun records what a removal has to undo, before it is done.
begun() { kube annotate --overwrite namespace "$namespace" "kactus-try/$1=yes" >/dev/null; }

# --- the demonstration

load_image() {
	[ -z "$image" ] || return 0
	say 'building the image, and loading it into the nodes'
	local name=${distribution#* }
	scripts/build-docker-image.sh -t kactus:try -a "$arch" -o bin/image
	case $distribution in
		kind*) kind load image-archive "bin/image/kactus-$arch.tar" --name "$name" ;;
		k3d*) k3d image import "bin/image/kactus-$arch.tar" -c "$name" ;;
		minikube*) minikube -p "$name" image load "bin/image/kactus-$arch.tar" ;;
	esac
	image=kactus:try
}

install() {
	say 'installing kactus'
	printf '\n$ kubectl apply -k %s\n' "$manifests"
	begun installed
	render | kube apply -f -
	local daemonset
	for daemonset in kactus kactus-agent; do
		system rollout status "daemonset/$daemonset" --timeout=180s
	done
	agent=daemonset/kactus-agent
}

# network NAME SUBNET prints a Network.
network() {
	cat <<END
---
apiVersion: kaloom.com/v1
kind: Network
metadata: { name: $1 }
spec:
  config: |
    {
      "name": "$namespace-$1",
      "type": "$plugin",$([ "$plugin" != bridge ] || printf '\n      "bridge": "try-%s",' "$1")
      "ipam": { "type": "host-local", "ranges": [[{ "subnet": "$2" }]] }
    }
END
}

deployment() {
	cat <<END
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: app }
spec:
  selector: { matchLabels: { app: app } }
  template:
    metadata:
      labels: { app: app }
      annotations:
        networks: '$1'
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 0
      containers:
        - name: app
          image: "$pod_image"
          imagePullPolicy: IfNotPresent
          command: [sleep, "1000000"]
END
}

readonly green='[ { "name": "green" } ]'
readonly both='[ { "name": "green" }, { "name": "data" } ]'

show() {
	say 'a Pod on the network green'
	{ network green 192.168.142.0/24; network data 192.168.144.0/24; deployment "$green"; } >"$state/example"
	cat "$state/example"
	printf '\n$ kubectl -n %s apply -f -\n' "$namespace"
	begun networks
	try apply -f "$state/example"
	run rollout status deployment/app --timeout=120s
	pod=$(try get pods -l app=app -o name)
	say 'its interfaces: eth0, and that of green'
	run exec "$pod" -- ip address
}

show_hot() {
	if [ -z "$agent" ]; then
		say 'the cluster has no kactus-agent, so networks of running Pods do not change'
		return
	fi
	say 'adding the network data to the running Pod'
	run annotate --overwrite "$pod" "networks=$both"
	interface present
	run exec "$pod" -- ip address show "$hot"
	await_condition '2 networks are attached'
	run get "$pod" -o 'jsonpath={.status.conditions[?(@.type=="kaloom.com/NetworksAttached")]}{"\n"}'
	run events --for "$pod" --types Normal
	say 'removing it again'
	run annotate --overwrite "$pod" "networks=$green"
	interface absent
	run exec "$pod" -- ip -o link
	local restarts
	restarts=$(try get "$pod" -o 'jsonpath={.status.containerStatuses[*].restartCount}')
	[ "$restarts" = 0 ] || die "the Pod's container was restarted $restarts times"
	say 'the Pod was never restarted'
}

# interface waits until the interface of data is present in the Pod, or absent.
interface() {
	local found
	for _ in $(seq 120); do
		found=absent
		! try exec "$pod" -- ip link show "$hot" >/dev/null 2>&1 || found=present
		[ "$found" != "$1" ] || return 0
		sleep 0.25
	done
	die "the interface of data is $found after 30 s or more"
}

await_condition() {
	for _ in $(seq 120); do
		[[ $(try get "$pod" -o 'jsonpath={.status.conditions[*].message}') != *"$1"* ]] || return 0
		sleep 0.25
	done
	die "the condition does not say '$1' after 30 s or more"
}

show_trouble() {
	say 'what the cluster says' >&2
	{
		try get pods -o wide
		try events --types Warning
		[ -n "$present" ] || system logs -l 'app.kubernetes.io/name in (kactus, kactus-agent)' --prefix --tail=20
	} >&2 2>&1 || true
}

# --- the removal, of what the namespace's annotations and content say

note() { kube get namespace "$namespace" -o "jsonpath={.metadata.annotations.kactus-try/$1}" 2>/dev/null; }

# remove_all removes all that can be removed. The namespace, which says what there is to remove,
# goes last, and stays if something else does.
remove_all() {
	say 'removing what was created'
	local crd node failed=''
	crd=$(note crd)
	manifests=$(note manifests)
	if [ "$(note networks)" = yes ]; then
		try delete deployment app --ignore-not-found || failed=yes
		try wait --for=delete pod -l app=app --timeout=120s || failed=yes
		for node in "${nodes[@]}"; do
			await_detached "$node" || failed=yes
		done
		try delete networks.kaloom.com --all || failed=yes
	fi
	[ "$(note installed)" != yes ] || uninstall || failed=yes
	if [ "$(note networks)" = yes ]; then
		for node in "${nodes[@]}"; do
			remove_networks_of "$node" || failed=yes
		done
	fi
	[ -z "$failed" ] || return 1
	kube delete namespace "$namespace" --ignore-not-found || return 1
	say 'nothing is left but the images, which the nodes remove when they need room'
}

# await_detached waits until nothing of the Pods is attached on a node. Their objects may be gone
# before that, and without kactus nothing could be detached.
await_detached() {
	local bin attached said=''
	bin=$(directory bin-dir)
	on "$1" test -e "/node${bin:=/opt/cni/bin}/kactus" || return 0
	for _ in $(seq 240); do
		attached=$(on "$1" chroot /node "$bin/kactus" list | grep -E "(^|[[:space:]])$namespace/" || true)
		[ -n "$attached" ] || return 0
		[ -n "$said" ] || printf 'waiting until this is detached on %s:\n%s\n' "$1" "$attached"
		said=yes
		sleep 0.25
	done
	printf 'try: still attached on %s after 60 s or more\n' "$1" >&2
	return 1
}

# remove_networks_of removes what plugins leave when the last Pod of a network is gone.
remove_networks_of() {
	on "$1" sh -ec "for bridge in try-green try-data; do
			[ ! -e /sys/class/net/\$bridge ] || ip link delete \$bridge
		done
		rm -rf /node/var/lib/cni/networks/$namespace-green /node/var/lib/cni/networks/$namespace-data"
}

# uninstall removes kactus from the cluster and from the nodes. The CRD stays if it was there
# before, or if there are Networks now.
uninstall() {
	local node bin conf objects failed=''
	bin=$(present='' directory bin-dir)
	conf=$(present='' directory conf-dir)
	system delete daemonset kactus-agent kactus --ignore-not-found || failed=yes
	system wait --for=delete pod -l 'app.kubernetes.io/name in (kactus, kactus-agent)' --timeout=120s || failed=yes
	for node in "${nodes[@]}"; do
		uninstall_from "$node" "$bin" "$conf" || failed=yes
	done
	[ -z "$failed" ] || return 1
	render >"$state/rendered"
	mapfile -t objects < <(system get -f "$state/rendered" --ignore-not-found -o name | sed '/^customresourcedefinition/d')
	[ ${#objects[@]} = 0 ] || system delete "${objects[@]}" || return 1
	if [ -n "$crd" ]; then
		echo 'the CustomResourceDefinition networks.kaloom.com was there before, and stays'
	elif [ -n "$(kube get networks.kaloom.com -A -o name 2>/dev/null)" ]; then
		echo 'the CustomResourceDefinition networks.kaloom.com stays: there are other Networks now'
	else
		kube delete crd networks.kaloom.com --ignore-not-found
	fi
}

# uninstall_from removes kactus from a node. The ledger's records that are left are those of Pods
# that started meanwhile: of their default network, which its own configuration tears down again.
uninstall_from() {
	if on "$1" test -e "/node$2/kactus"; then
		on "$1" chroot /node "$2/kactus" install -uninstall "-bin-dir=$2" "-conf-dir=$3" || return 1
	fi
	on "$1" rm -rf /node/var/lib/cni/kactus /node/run/kactus && echo "removed kactus from $1"
}

check_prerequisites
look
if [ -n "$remove" ]; then
	kube get namespace "$namespace" >/dev/null 2>&1 || die "nothing to remove: no namespace $namespace"
	pod_image=$(note pod-image)
	[ -z "$(note installed)$(note networks)" ] || start_helpers
	( remove_all )
	exit
fi
! kube get namespace "$namespace" >/dev/null 2>&1 ||
	die "the namespace $namespace exists, from an earlier run: remove it with scripts/try.sh --remove"
crd=''
check_image
check_leftovers
ask
start_namespace
choose_plugins
if [ -z "$present" ]; then
	load_image
	install
fi
show
show_hot
if [ -n "$keep" ]; then
	cat <<END

== everything stays. To use it:
  kubectl -n $namespace exec -it deployment/app -- sh
To remove it:
  scripts/try.sh --remove
END
fi
