#!/usr/bin/env bash
# The benchmark: what kactus costs, against the same delegates run by hand.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
exec go run ./test/bench "$@"
