#!/usr/bin/env bash
# Builds bin/kactus, or checks the tree: see usage below.
set -euo pipefail

usage() {
	cat <<'EOF'
Usage: ./build.sh [-o FILE | -t | -l | -s [VERSION] | -V | -h]

  (none)  build bin/kactus: static, stripped, the same bytes for the same commit
  -o FILE the same, as FILE
  -t      run all tests (needs root and the packages that README.md names; the first run compiles Kubernetes, for minutes)
  -l      run the linters: gofmt, staticcheck, go mod tidy and verify
  -s      look for known vulnerabilities in what kactus is built of, by Go's database of the version that is named below, or of VERSION ("latest")
  -V      run go vet
  -h      print this

GOARCH=arm64 ./build.sh builds for another architecture.
EOF
}

cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"

# stamp prints a fact of the commit, or "unknown" in a tree without .git. A work tree that differs from its commit says so.
stamp() {
	local fact
	fact=$(git --git-dir=.git "$@" 2>/dev/null) || fact=unknown
	echo "$fact"
}

build() {
	local version commit date
	version=$(stamp describe --tags --always --dirty --match 'v*')
	commit=$(stamp rev-parse HEAD)
	date=$(TZ=UTC stamp log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ)
	CGO_ENABLED=0 GOOS=linux GOFLAGS=-mod=vendor go build -trimpath -buildvcs=false \
		-ldflags "-s -w -X main.version=$version -X main.commit=$commit -X main.date=$date" \
		-o "$1" ./kactus
}

# tool runs a program of test/tools, which is built from source the first time.
tool() {
	local name=$1
	shift
	go build -C test/tools -o ../../bin/tools/ tool
	"bin/tools/$name" "$@"
}

run_tests() {
	# Before the tests, because it takes minutes the first time, and says how far it is.
	go run ./test/cluster/cmd/cluster build >/dev/null
	local code=0
	source scripts/fault-table.sh
	new_fault_table
	# One suite after the other: each starts a cluster, or a virtual machine, that needs the whole machine.
	tool gotestsum --format pkgname-and-test-fails --format-hide-empty-pkg -- -count=1 -p 1 -timeout 30m ./... | tee "$KACTUS_FAULT_TABLE.out" || code=1
	print_fault_table || code=1
	tail -n 1 "$KACTUS_FAULT_TABLE.out" # how many tests, and how many failed
	return "$code"
}

lint() {
	local unformatted
	unformatted=$(find . -name '*.go' -not -path '*/vendor/*' -print0 | xargs -0 gofmt -l)
	if [ -n "$unformatted" ]; then
		printf 'not formatted as gofmt does:\n%s\n' "$unformatted" >&2
		return 1
	fi
	go mod tidy -diff
	go mod verify
	tool staticcheck ./...
}

# The database of Go's vulnerabilities, as the module that it is made from: a tree that was right does not turn wrong by itself.
vulndb=v0.0.0-20261105234957-e22db6528018

known_vulnerabilities() {
	local database
	database=$(cd / && go mod download -json "golang.org/x/vulndb@$1" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p')
	tool govulncheck -db "file://$database/data/osv" ./...
}

case "$#:${1-}" in
	0:) build bin/kactus ;;
	2:-o) build "$2" ;;
	1:-t) run_tests ;;
	1:-l) lint ;;
	1:-s | 2:-s) known_vulnerabilities "${2:-$vulndb}" ;;
	1:-V) go vet ./... ;;
	1:-h | 1:--help) usage ;;
	*)
		usage >&2
		exit 2
		;;
esac
