#!/usr/bin/env bash
# Makes the manifests, and the table in docs/platforms.md, from the chart in manifests/chart/kactus.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
exec go test -count=1 -timeout 30m ./test/chart -run '^(TestManifests_AreUpToDate|TestPlatforms_Document)$' -update
