#!/usr/bin/env bash
# Prints the notes of a release: see usage below.
set -euo pipefail

usage() {
	cat <<'END'
Usage: scripts/release-notes.sh [TAG]

Prints the newest section of CHANGELOG.md, for the page of the release, where its links lead to the
files of that release. Fails unless the section is that of TAG, such as v1.2.0, and has a date.
Without TAG, prints the section as it stands.
END
}

die() {
	printf 'release-notes: %s\n' "$*" >&2
	exit 1
}

case "$#:${1-}" in
	1:-h | 1:--help) usage; exit 0 ;;
	0: | 1:v*) ;;
	*) usage >&2; exit 2 ;;
esac
tag=${1-}
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

heading=$(grep -m 1 '^## ' CHANGELOG.md) || die 'CHANGELOG.md has no section'
if [ -n "$tag" ]; then
	[[ $tag =~ ^v(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}$ ]] || die "$tag: must have the form v1.2.3"
	[[ $heading =~ ^'## ['"${tag#v}"'] - '[0-9]{4}-[0-9]{2}-[0-9]{2}$ ]] ||
		die "$tag: CHANGELOG.md begins with \"$heading\", want \"## [${tag#v}] - DATE\""
fi
source=https://$(sed -n 's/^module //p' go.mod)/blob/${tag:-HEAD}
# Links without a scheme are relative to the tree. Reference links and blank lines end the section.
notes=$(awk '/^## / { if (n++) exit; next } n && !/^\[[^]]*\]: /' CHANGELOG.md |
	sed -E "s#\]\(([^):\#][^):]*)\)#](${source}/\1)#g" | sed '/./,$!d')
[ -n "$notes" ] || die "CHANGELOG.md: the section \"$heading\" is empty"
printf '%s\n' "$notes"
