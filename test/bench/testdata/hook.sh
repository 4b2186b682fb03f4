#!/bin/sh
# An example of a hook for scripts/bench.sh. Its peer reads what kactus reads: networks.kaloom.com and
# the annotation networks. The type hook in test/bench/peer.go describes how hooks are called.
set -eu

case $1 in
	setup)
		for network in $NETWORKS; do
			printf -- '---\napiVersion: kaloom.com/v1\nkind: Network\nmetadata: {name: %s}\nspec:\n  config: |\n    %s\n' "$network" "$(cat "$CONFIGS/$network.json")"
		done | "$KUBECTL" apply -n "$NAMESPACE" -f - >&2
		;;
	annotations)
		list=
		for network in $NETWORKS; do
			list="$list${list:+, }{\\\"name\\\": \\\"$network\\\"}"
		done
		printf '{"networks": "[%s]"}\n' "$list"
		;;
	hot) echo "K8S_POD_NETWORK=$NETWORKS;K8S_POD_IFMAC=" ;;
	*) exit 2 ;;
esac
