#!/usr/bin/env bash
# Runs the fault campaign: see usage below.
set -euo pipefail

usage() {
	cat <<'END'
Usage: scripts/faults.sh [OPTION...]

Runs the fault campaign against a real kube-apiserver and real CNI plugins, in network namespaces of
its own, and prints a table: the fault, how many times it was injected, what was lost (must be 0),
and how long the worst recovery took. Exits with 1 if anything was lost.

  -s, --short        run the short campaign, which takes under five minutes; the full one takes hours
  -r, --run PATTERN  run the tests whose names match PATTERN, such as TestFault_Kill
      --table FILE   put the results into the table of FILE too, such as docs/reliability-table.md;
                     what was not tried stays there as it is
      --no-install   fail if Debian packages are missing, instead of installing them
  -h, --help         print this help

Needs root.
END
}

full=-faults.full pattern='^TestFault' timeout=3h table='' no_install=''
while [ $# -gt 0 ]; do
	case $1 in
		-s | --short) full='' timeout=15m; shift ;;
		-r | --run) pattern=${2:?"$1 needs a pattern"}; shift 2 ;;
		--run=*) pattern=${1#*=}; shift ;;
		-r*) pattern=${1#-r}; shift ;;
		--table) table=$(realpath "${2:?"$1 needs a file"}"); shift 2 ;;
		--table=*) table=$(realpath "${1#*=}"); shift ;;
		-[sh]?*) set -- "${1:0:2}" "-${1:2}" "${@:2}" ;; # -sr PATTERN
		--no-install) no_install=yes; shift ;;
		-h | --help) usage; exit 0 ;;
		*) usage >&2; exit 2 ;;
	esac
done

cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
source scripts/fault-table.sh
source scripts/packages.sh
need_packages faults.sh faults
new_fault_table

go run ./test/cluster/cmd/cluster build >/dev/null
code=0
go test -tags root -count=1 -timeout "$timeout" -run "$pattern" ./test/faults $full || code=1

print_fault_table || code=1
[ -z "$table" ] || write_fault_table "$table"
exit "$code"
