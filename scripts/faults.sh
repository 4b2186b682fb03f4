#!/usr/bin/env bash
# The fault campaign: what is done to kactus, how often, what was lost, and how long it took until all was well again.
set -euo pipefail

usage() {
	cat <<'END'
Usage: scripts/faults.sh [-s] [-r PATTERN] [-h]

Runs the fault campaign against a real kube-apiserver and real CNI plugins, in network namespaces of its own, and prints a table: the fault, how many times it
was tried, what was lost (must be 0), and the worst time to recover. It ends with 1 if anything was lost.

  -s          the short campaign, which takes under five minutes
  -r PATTERN  the tests whose names match, such as TestFaultKill
  -h          print this

It needs root and what the tests need (see README.md).
END
}

full=-faults.full pattern='^TestFault' timeout=3h
while getopts sr:h option; do
	case $option in
		s) full='' timeout=15m ;;
		r) pattern=$OPTARG ;;
		h) usage; exit 0 ;;
		*) usage >&2; exit 2 ;;
	esac
done
[ $((OPTIND - 1)) = $# ] || { usage >&2; exit 2; }

cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
source scripts/fault-table.sh
new_fault_table

go run ./test/cluster/cmd/cluster build >/dev/null
code=0
go test -count=1 -timeout "$timeout" -run "$pattern" ./test/e2e $full || code=1

print_fault_table || code=1
exit "$code"
