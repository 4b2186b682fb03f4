#!/usr/bin/env bash
# Runs the benchmark, which compares kactus with the same delegates run by hand, one after the
# other. -h prints its options.
set -euo pipefail

root=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The benchmark writes its figures as JSON; other programs draw pictures from them.
command="./scripts/bench.sh${*:+ $*}"
declare -A file=([svg]='' [side-by-side]='' [figures]='' [json]='')
args=()
while [ $# -gt 0 ]; do
	option=${1#-} option=${option#-}
	name=${option%%=*}
	if [ "$1" = "$option" ] || [ -z "${file[$name]+known}" ]; then
		args+=("$1")
	elif [ "$name" != "$option" ]; then
		file[$name]=$(realpath -m "${option#*=}")
	else
		file[$name]=$(realpath -m "${2:?--$name needs a file}")
		shift
	fi
	shift
done
json=${file[json]}
[ -z "${file[svg]}${file[side-by-side]}" ] || json=${json:-$scratch/figures.json}
[ -z "$json" ] || args+=(--json "$json")

# page turns the tables into a page of Markdown.
page() {
	printf '# Figures of the benchmark\n\n'
	printf 'Written by `./scripts/bench.sh --figures`. [performance.md](performance.md) explains how each is\n'
	printf 'measured, and what it means.\n\n```\n$ %s\n' "$command"
	cat
	printf '```\n'
}

source "$root/scripts/packages.sh"
need_packages bench.sh bench
go build -C "$root" -o "$scratch/bench" ./test/bench
"$scratch/bench" --root "$root" ${args[@]+"${args[@]}"} | tee "$scratch/tables"
[ -z "${file[figures]}" ] || page <"$scratch/tables" >"${file[figures]}"
[ -z "${file[svg]}" ] || go run -C "$root/test/bench/chart" . "$json" "${file[svg]}"
[ -z "${file[side-by-side]}" ] || go run -C "$root" ./test/bench/sidebyside "${file[side-by-side]}" "$json"
