#!/usr/bin/env bash
# The benchmark: what kactus costs, against the same delegates run by hand, one after the other. -h says how to use it.
set -euo pipefail

root=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# A chart is drawn by another module, from the figures.
args=() svg='' json=''
while [ $# -gt 0 ]; do
	case $1 in
		-svg | --svg) svg=$(realpath -m "${2:?a file is needed after --svg}"); shift 2 ;;
		-svg=* | --svg=*) svg=$(realpath -m "${1#*=}"); shift ;;
		-json | --json) json=$(realpath -m "${2:?a file is needed after --json}"); shift 2 ;;
		-json=* | --json=*) json=$(realpath -m "${1#*=}"); shift ;;
		*) args+=("$1"); shift ;;
	esac
done
[ -z "$svg" ] || json=${json:-$scratch/figures.json}
[ -z "$json" ] || args+=(--json "$json")

go build -C "$root" -o "$scratch/bench" ./test/bench
"$scratch/bench" --root "$root" ${args[@]+"${args[@]}"}
[ -z "$svg" ] || go run -C "$root/test/bench/chart" . "$json" "$svg"
