#!/usr/bin/env bash
# Writes the kubeconfig that kactus needs on a node, for an installation by hand.
set -euo pipefail

usage() {
	cat <<'END'
Usage: scripts/create-kubeconfig.sh [OPTION...]

Writes a kubeconfig for the service account of kactus (manifests/kactus-serviceaccount-and-rbac.yaml, which must be applied), with what kubectl is configured for.
Put it on each node, as /etc/cni/net.d/kactus.d/kactus-kubeconfig.yaml, mode 0600.

  -o, --output FILE       where to (default: /tmp/kubeconfig/kactus-kubeconfig.yaml)
  -n, --namespace NAME    the service account's namespace (default: kube-system)
  -s, --service-account NAME
                          the service account (default: kactus)
      --server URL        the apiserver, as the nodes reach it (default: the one that kubectl talks to)
  -d, --duration TIME     ask for a token that is good for that long, such as 8760h (default: 24h). The apiserver may give a shorter one; when
                          it has expired, no Pod starts on the node: write a new one before
      --static            make a Secret with a token that does not expire, and use that. Whoever gets hold of it can read Pods and Networks until
                          you delete the Secret
  -h, --help              print this

The DaemonSet (kubectl apply -k manifests) needs none of this: it writes the kubeconfig on each node, and anew whenever its token does.
END
}

die() { printf 'create-kubeconfig: %s\n' "$*" >&2; exit 1; }
wrong() { printf 'create-kubeconfig: %s\n\n' "$*" >&2; usage >&2; exit 2; }

output=/tmp/kubeconfig/kactus-kubeconfig.yaml namespace=kube-system account=kactus server='' duration=24h static=''
while [ $# -gt 0 ]; do
	case $1 in
		-h | --help) usage; exit 0 ;;
		--static) static=yes; shift; continue ;;
		-o | --output | -n | --namespace | -s | --service-account | --server | -d | --duration) [ $# -ge 2 ] || wrong "$1 needs a value" ;;
		*) wrong "$1 is not an option" ;;
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
command -v kubectl >/dev/null || die 'kubectl is missing'
umask 077
folder=$(dirname "$output")
mkdir -p "$folder"
[ -O "$folder" ] || die "$folder is another user's, who could put something else in the file's place: say where with --output"

# of prints a field of the cluster that kubectl talks to.
of() { kubectl config view --raw --minify --flatten -o "jsonpath={.clusters[0].cluster.$1}"; }

kubectl -n "$namespace" get serviceaccount "$account" >/dev/null ||
	die "there is no service account $namespace/$account: kubectl apply -f manifests/kactus-serviceaccount-and-rbac.yaml"
[ -n "$server" ] || server=$(of server)
ca=$(of certificate-authority-data)

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
	[ -n "$token" ] || die "the Secret $namespace/$secret got no token: does the kube-controller-manager run?"
	echo "made the Secret $namespace/$secret, whose token does not expire; kubectl -n $namespace delete secret $secret ends it, and every kubeconfig with it" >&2
else
	token=$(kubectl -n "$namespace" create token "$account" --duration "$duration")
	# The token says itself until when it is good: the apiserver may have shortened it.
	claims=$(cut -d. -f2 <<<"$token" | tr '_-' '/+')
	until=$(base64 -d 2>/dev/null <<<"$claims==" | sed -n 's/.*"exp":\([0-9]*\).*/\1/p' || true)
	echo "got a token${until:+ that is good until $(date -u -d "@$until" +%Y-%m-%dT%H:%M:%SZ)}" >&2
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
