#!/usr/bin/env bash
# Runs the benchmark, which compares kactus with the same delegates run by hand, one after the
# other. -h prints its options.
set -euo pipefail

root=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The benchmark writes its figures as JSON; a program of another module draws the chart from them.
args=() svg='' json=''
while [ $# -gt 0 ]; do
	case $1 in
		-svg | --svg) svg=$(realpath -m "${2:?--svg needs a file}"); shift 2 ;;
		-svg=* | --svg=*) svg=$(realpath -m "${1#*=}"); shift ;;
		-json | --json) json=$(realpath -m "${2:?--json needs a file}"); shift 2 ;;
		-json=* | --json=*) json=$(realpath -m "${1#*=}"); shift ;;
		*) args+=("$1"); shift ;;
	esac
done
[ -z "$svg" ] || json=${json:-$scratch/figures.json}
[ -z "$json" ] || args+=(--json "$json")

go build -C "$root" -o "$scratch/bench" ./test/bench
"$scratch/bench" --root "$root" ${args[@]+"${args[@]}"}
[ -z "$svg" ] || go run -C "$root/test/bench/chart" . "$json" "$svg"
