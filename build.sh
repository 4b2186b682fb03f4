#!/usr/bin/env bash
# Builds bin/kactus, or checks the tree: see usage below.
set -euo pipefail

usage() {
	cat <<'END'
Usage: ./build.sh [OPTION]

Without an option, builds bin/kactus: static, stripped, the same bytes for the same commit.

  -o, --output FILE     build to FILE instead
  -t, --test [SUITE]    run tests. SUITE is one of
                          unit    the tests of kactus and pkg that need neither root nor network
                          root    the tests of kactus and pkg that need root: real CNI plugins in
                                  network namespaces
                          system  the tests below test/, on clusters and in virtual machines,
                                  but for the fault campaign (scripts/faults.sh)
                          all     everything, with the short fault campaign (default)
                        root, system and all need root; system and all compile Kubernetes the first
                        time, for minutes. Debian packages that a suite needs and the machine lacks
                        are named and, by root, installed
      --no-install      with --test: fail instead if packages are missing
  -l, --lint [PATH...]  run the linters, on all files or on PATH alone: a file, a directory, or a
                        directory and all below it, such as ./pkg/netconf/...
  -V, --vet             run go vet
  -s, --vulnerabilities [VERSION]
                        report known vulnerabilities in what kactus is built from, by VERSION of
                        Go's database ("latest", or by default the one that this script names)
      --mutants PACKAGE run mutation testing on one package, such as pkg/plan
      --version         print what the binary is stamped with: version, commit, date of the commit
  -h, --help            print this help

GOARCH=arm64 ./build.sh builds for another architecture.
END
}

root=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
cd "$root"
source scripts/packages.sh
no_install=''

# die prints a message and exits with 2, as a command line that is wrong does.
die() {
	printf 'build.sh: %s\n' "$*" >&2
	exit 2
}

# version prints the tag of the commit. A commit without one, and a working tree that differs from
# its commit, has the version of the newest section of CHANGELOG.md, a pre-release of it until that
# section has a date, and the commit: v1.2.0-dev+2bd77d48f42d. Twelve digits, because by default git
# prints as many as the clone has use for, and the same commit must give the same bytes.
version() {
	local version commit
	version=$(git --git-dir=.git describe --tags --exact-match --match 'v*' --dirty 2>/dev/null) || version=''
	if [[ $version == '' || $version == *-dirty ]]; then
		version=$(awk '/^## \[[0-9]/ { gsub(/[][]/, "", $2); print "v" $2 ($4 == "Unreleased" ? "-dev" : ""); exit }' CHANGELOG.md)
		commit=$(git --git-dir=.git describe --always --exclude '*' --abbrev=12 --dirty=.dirty 2>/dev/null) || commit=''
		version=${version:-v0.0.0-dev}${commit:++$commit}
	fi
	echo "$version"
}

# stamps prints the version, the commit and its date, which are unknown in a tree without .git.
stamps() {
	local commit
	commit=$(TZ=UTC git --git-dir=.git log -1 --format='%H %cd' --date=format-local:%Y-%m-%dT%H:%M:%SZ 2>/dev/null) ||
		commit='unknown unknown'
	echo "$(version) $commit"
}

build() {
	local version commit date
	read -r version commit date <<<"$(stamps)"
	CGO_ENABLED=0 GOOS=linux GOFLAGS=-mod=vendor go build -trimpath -buildvcs=false \
		-ldflags "-s -w -X main.version=$version -X main.commit=$commit -X main.date=$date" \
		-o "$1" ./kactus
}

# build_tools builds the programs of test/tools to bin/tools, from source the first time.
build_tools() {
	go build -C test/tools -o ../../bin/tools/ tool
}

# root_packages prints the packages below the given paths that have tests with the build tag root.
root_packages() {
	local tests='{{.ImportPath}} {{.TestGoFiles}} {{.XTestGoFiles}}'
	comm -13 <(go list -f "$tests" "$@" | sort) <(go list -tags root -f "$tests" "$@" | sort) | cut -d' ' -f1
}

need_root() {
	[ "$(id -u)" = 0 ] || die "$1 needs root, for network namespaces and mounts (--test unit does not)"
}

test_unit() {
	need_packages 'build.sh --test unit' unit
	go test ./kactus/... ./pkg/...
}

test_root() {
	need_root '--test root'
	need_packages 'build.sh --test root' root
	local packages
	packages=$(root_packages ./kactus/... ./pkg/...)
	[ -n "$packages" ] || die '--test root: no package has tests with the build tag root'
	xargs go test -tags root -count=1 -timeout 10m <<<"$packages"
}

# run_tests runs the tests of packages: first those of whole clusters, of which two run at a time
# and keep two processors busy, and then the others, two packages at a time.
run_tests() {
	local code=0 packages pattern
	for pattern in -e -ve; do
		mapfile -t packages < <(go list "$@" | grep "$pattern" '/test/system$')
		[ ${#packages[@]} -gt 0 ] || continue
		bin/tools/gotestsum --format pkgname-and-test-fails --format-hide-empty-pkg -- \
			-tags root -count=1 -p 2 -timeout 60m "${packages[@]}" || code=1
	done
	return "$code"
}

# prepare installs and builds what run_tests needs. Building takes minutes the first time, and
# reports its progress.
prepare() {
	need_root "$1"
	need_packages "build.sh $1" "${@:2}"
	build_tools
	go run ./test/cluster/cmd/cluster build --runtimes containerd,crio helm >/dev/null
}

test_system() {
	prepare '--test system' system
	local packages
	mapfile -t packages < <(go list ./test/... | grep -v '/test/faults$')
	run_tests "${packages[@]}"
}

test_all() {
	prepare '--test all' unit root system faults
	local code=0
	source scripts/fault-table.sh
	new_fault_table
	run_tests ./... | tee "$KACTUS_FAULT_TABLE.out" || code=1
	print_fault_table || code=1
	grep '^DONE' "$KACTUS_FAULT_TABLE.out" # how many tests ran, and how many failed
	return "$code"
}

# nested prints the directories of the modules that have code of their own, but for this one. The
# others hold only the versions of programs to build.
nested() {
	local module
	for module in $(find test -name go.mod -not -path '*/vendor/*' -printf '%h\n' | sort); do
		[ -z "$(go list -C "$module" ./... 2>/dev/null)" ] || echo "$module"
	done
}

vet() {
	local module
	go vet ./...
	go vet -tags root ./...
	for module in $(nested); do
		go vet -C "$module" ./...
	done
}

# lint runs every linter, on all files or on those that the paths select, and fails if one of them
# found something.
lint() {
	local code=0 module all='' path files sources packages tagged unformatted
	if [ $# = 0 ]; then
		all=yes
		set -- ./...
	fi
	for path; do # go takes pkg/plan for a package of Go's own
		[[ $path == [./]* ]] || path=./$path
		shift
		set -- "$@" "$path"
	done
	build_tools
	files=$(bin/tools/prose -files "$@") || exit
	sources=$(grep '\.go$' <<<"$files" || true)
	unformatted=$(xargs -r gofmt -l <<<"$sources")
	if [ -n "$unformatted" ]; then
		printf '%s: not formatted by gofmt\n' $unformatted
		code=1
	fi
	packages=$(go list -e -tags root -f '{{if not .Error}}{{.ImportPath}}{{end}}' "$@" 2>/dev/null || true)
	if [ -n "$packages" ]; then
		xargs bin/tools/staticcheck <<<"$packages" || code=1
		xargs bin/tools/staticcheck -tags root <<<"$packages" || code=1
	fi
	if [ -n "$sources" ]; then
		# revive knows no build tags: a file that has one is named.
		tagged=$(xargs grep -l '^//go:build root$' <<<"$sources" || true)
		{
			xargs -n 1 dirname <<<"$sources" | sort -u
			echo "$tagged"
		} | xargs bin/tools/revive -config test/tools/revive.toml || code=1
	fi
	# "nmae" is a key that tests expect to be rejected.
	xargs -r bin/tools/misspell -error -locale US -i nmae <<<"$files" || code=1
	bin/tools/prose "$@" || code=1
	{ grep '^\.github/workflows/' <<<"$files" || true; } | xargs -r bin/tools/actionlint || code=1
	[ -z "$all" ] || lint_modules || code=1
	return "$code"
}

lint_modules() {
	local code=0 module
	go mod tidy -diff || code=1
	go mod verify || code=1
	for module in $(nested); do
		(cd "$module" && "$root/bin/tools/staticcheck" ./...) || code=1
	done
	go test -C test/tools ./... || code=1
	return "$code"
}

# The version of Go's vulnerability database, which is a module. It is pinned so that a commit that
# passed does not fail later by itself.
vulndb=v0.0.0-20261105234957-e22db6528018

known_vulnerabilities() {
	local database
	build_tools
	database=$(cd / && go mod download -json "golang.org/x/vulndb@$1" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p')
	bin/tools/govulncheck -db "file://$database/data/osv" ./...
}

# mutants changes the code of a package in many small ways and reports which of the changes no test
# noticed. It works on a copy of the tree, without what git ignores.
mutants() {
	local package=./${1#./} scratch tags=()
	package=${package%/}
	[ -n "$(go list -f '{{.GoFiles}}' "$package" 2>/dev/null)" ] || die "--mutants $1: not a package of this module"
	if [ -n "$(root_packages "$package")" ]; then
		need_root "--mutants $1"
		tags=(--tags root)
	fi
	build_tools
	scratch=$(mktemp -d)
	trap "rm -rf '$scratch'" EXIT
	mkdir "$scratch/tree" "$scratch/tmp"
	git ls-files -z --cached --others --exclude-standard --deduplicate | while IFS= read -r -d '' file; do
		[ ! -e "$file" ] || printf '%s\0' "$file"
	done | tar --create --null --files-from=- | tar --extract --directory="$scratch/tree"
	# A mutant that makes a test hang is stopped after this many times the duration of the package's
	# tests; more than the default, because compiling counts too.
	cd "$scratch/tree"
	TMPDIR=$scratch/tmp "$root/bin/tools/gremlins" unleash --workers "$(nproc)" --timeout-coefficient 10 \
		${tags[@]+"${tags[@]}"} "$package"
}

# Everywhere, --option=VALUE is --option VALUE.
if [[ ${1-} == --*=* ]]; then
	set -- "${1%%=*}" "${1#*=}" "${@:2}"
fi
case "${1-}:${2-}:${3-}" in
	-t:--no-install:* | --test:--no-install:*) no_install=yes; set -- "$1" "${@:3}" ;;
	-t:*:--no-install | --test:*:--no-install) no_install=yes; set -- "$1" "$2" "${@:4}" ;;
esac
case "$#:${1-}" in
	0:) build bin/kactus ;;
	2:-o | 2:--output) build "$2" ;;
	1:-t | 1:--test) test_all ;;
	2:-t | 2:--test)
		case $2 in
			unit | root | system | all) "test_$2" ;;
			*) die "--test $2: must be unit, root, system or all" ;;
		esac
		;;
	2:--mutants) mutants "$2" ;;
	*:-l | *:--lint) lint "${@:2}" ;;
	1:-s | 2:-s | 1:--vulnerabilities | 2:--vulnerabilities) known_vulnerabilities "${2:-$vulndb}" ;;
	1:-V | 1:--vet) vet ;;
	1:--version) stamps ;;
	1:-h | 1:--help) usage ;;
	*)
		usage >&2
		exit 2
		;;
esac
