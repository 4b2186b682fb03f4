#!/bin/sh
# The hook of Kaloom's kactus for scripts/bench.sh. It reads the Networks of the namespace default
# alone, wants spec.plugin in each, and does not survive an empty list of networks. The type hook in
# test/bench/peer.go describes how hooks are called.
set -eu

case $1 in
	setup)
		for network in $NETWORKS; do
			printf -- '---\napiVersion: kaloom.com/v1\nkind: Network\nmetadata: {name: %s}\nspec:\n  plugin: macvlan\n  config: |\n    %s\n' "$network" "$(cat "$CONFIGS/$network.json")"
		done | "$KUBECTL" apply -n default -f - >&2
		;;
	annotations)
		if [ -z "$NETWORKS" ]; then
			echo '{}'
		else
			exec "$(dirname "$0")/hook.sh" annotations
		fi
		;;
	hot) exec "$(dirname "$0")/hook.sh" hot ;;
	*) exit 2 ;;
esac
