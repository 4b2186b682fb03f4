#!/usr/bin/env bash
# Writes the kubeconfig that kactus needs on a node, for a manual installation.
set -euo pipefail

usage() {
	cat <<'END'
Usage: scripts/create-kubeconfig.sh [OPTION...]

Writes a kubeconfig for the kactus service account in the cluster that kubectl is configured for.
Apply manifests/kactus-serviceaccount-and-rbac.yaml first. Copy the kubeconfig to each node, as
/etc/cni/net.d/kactus.d/kactus-kubeconfig.yaml with mode 0600.

  -o, --output FILE       file to write (default: /tmp/kubeconfig/kactus-kubeconfig.yaml)
  -n, --namespace NAME    namespace of the service account (default: kube-system)
  -s, --service-account NAME
                          name of the service account (default: kactus)
      --server URL        apiserver, as the nodes reach it (default: the one that kubectl uses)
  -d, --duration TIME     lifetime to request for the token, such as 8760h (default: 24h). The
                          apiserver may issue a shorter one. Replace the kubeconfig before the token
                          expires: after that, no Pod starts on the node
      --static            create a Secret with a token that does not expire, and use that. Anyone who
                          obtains the token can read Pods and Networks, and create other tokens of
                          the account, until you delete the Secret. Those others end with the account
  -h, --help              print this help

The DaemonSet (kubectl apply -k manifests) does not need this script. It asks for a token for each
node, writes the kubeconfig there, and renews it.
END
}

die() { printf 'create-kubeconfig: %s\n' "$*" >&2; exit 1; }
usage_error() { printf 'create-kubeconfig: %s\n\n' "$*" >&2; usage >&2; exit 2; }

output=/tmp/kubeconfig/kactus-kubeconfig.yaml namespace=kube-system account=kactus server='' duration=24h static=''
while [ $# -gt 0 ]; do
	case $1 in
		-h | --help) usage; exit 0 ;;
		--static) static=yes; shift; continue ;;
		-o | --output | -n | --namespace | -s | --service-account | --server | -d | --duration)
			[ $# -ge 2 ] || usage_error "$1: value missing" ;;
		*) usage_error "$1: unknown option" ;;
	esac
	case $1 in
		-o | --output) output=$2 ;;
		-n | --namespace) namespace=$2 ;;
		-s | --service-account) account=$2 ;;
		--server) server=$2 ;;
		-d | --duration) duration=$2 ;;
	esac
	shift 2
done
command -v kubectl >/dev/null || die 'kubectl: command not found'
umask 077
dir=$(dirname "$output")
mkdir -p "$dir"
[ -O "$dir" ] || die "$dir is another user's directory, and that user could replace the file: choose another with --output"

# cluster_field prints a field of the cluster that kubectl uses.
cluster_field() { kubectl config view --raw --minify --flatten -o "jsonpath={.clusters[0].cluster.$1}"; }

kubectl -n "$namespace" get serviceaccount "$account" >/dev/null ||
	die "service account $namespace/$account not found: kubectl apply -f manifests/kactus-serviceaccount-and-rbac.yaml"
[ -n "$server" ] || server=$(cluster_field server)
ca=$(cluster_field certificate-authority-data)

if [ -n "$static" ]; then
	secret=$account-token
	kubectl apply -f - >/dev/null <<END
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata:
  name: $secret
  namespace: $namespace
  annotations: { kubernetes.io/service-account.name: $account }
END
	for _ in $(seq 50); do
		token=$(kubectl -n "$namespace" get secret "$secret" -o 'jsonpath={.data.token}' | base64 -d)
		[ -n "$token" ] && break
		sleep 0.2
	done
	[ -n "$token" ] || die "Secret $namespace/$secret: no token, is the kube-controller-manager running?"
	echo "created the Secret $namespace/$secret, whose token does not expire" >&2
	echo "to revoke it and every kubeconfig with it: kubectl -n $namespace delete secret $secret" >&2
else
	token=$(kubectl -n "$namespace" create token "$account" --duration "$duration")
	# Read the expiry from the token, because the apiserver may have shortened it.
	claims=$(cut -d. -f2 <<<"$token" | tr '_-' '/+')
	until=$(base64 -d 2>/dev/null <<<"$claims==" | sed -n 's/.*"exp":\([0-9]*\).*/\1/p' || true)
	echo "requested a token${until:+, which expires at $(date -u -d "@$until" +%Y-%m-%dT%H:%M:%SZ)}" >&2
fi

cat >"$output.part" <<END
apiVersion: v1
kind: Config
clusters:
- name: kactus
  cluster:
    server: $server
    certificate-authority-data: $ca
users:
- name: kactus
  user:
    token: $token
contexts:
- name: kactus
  context: { cluster: kactus, user: kactus }
current-context: kactus
END
mv "$output.part" "$output"
echo "$output"
