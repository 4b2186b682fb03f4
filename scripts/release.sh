#!/usr/bin/env bash
# Makes the files of a release: see usage below. .github/workflows/release.yml publishes them.
set -euo pipefail

usage() {
	cat <<'END'
Usage: scripts/release.sh [-i IMAGE] [-o DIR] [TAG]

Makes the files of the release TAG, such as v1.2.0, in DIR: binaries, images, SBOMs, manifests, the
Helm chart, their checksums, and the notes. Fails unless the tree is that of TAG, without changes,
and CHANGELOG.md begins with its section. Without TAG, rehearses: the tree may be any.

  -i IMAGE  the image's name, without a tag (default: ghcr.io/kaloom/kactus)
  -o DIR    the directory, which must be empty or missing (default: bin/release)
  -h        print this help
END
}

die() {
	printf 'release: %s\n' "$*" >&2
	exit 1
}

image=ghcr.io/kaloom/kactus dir=''
while getopts i:o:h option; do
	case $option in
		i) image=$OPTARG ;;
		o) dir=$(readlink -m "$OPTARG") ;;
		h) usage; exit 0 ;;
		*) usage >&2; exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[ $# -le 1 ] || { usage >&2; exit 2; }
tag=${1-}

root=$(readlink -f "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/..")
cd "$root"
dir=${dir:-$root/bin/release}
[ -z "$(ls -A "$dir" 2>/dev/null)" ] || die "$dir is not empty"

notes=$(scripts/release-notes.sh ${tag:+"$tag"})
read -r version _ <<<"$(./build.sh --version)"
[ -z "$tag" ] || [ "$version" = "$tag" ] ||
	die "this tree is $version, want $tag: a commit with that tag, and nothing changed"
image_tag=${version//+/-} # tags of images have no +

scripts/build-docker-image.sh -s -t "$image:$image_tag" -o "$dir"
for arch in amd64 arm64; do
	cp "bin/image/$arch/kactus" "$dir/kactus-linux-$arch"
done

# manifests PLATFORM FILE... writes the manifests of a platform with the image of this release.
manifests() {
	sed -s '$a---' "${@:2}" | sed "\$d; s#image: kactus:latest\$#image: $image:$image_tag#" >"$dir/kactus-$1.yaml"
	grep -q "image: $image:$image_tag\$" "$dir/kactus-$1.yaml" || die "kactus-$1.yaml: no image to name"
}

mapfile -t resources < <(sed -n 's#^  - \([^ ]*\.yaml\).*#manifests/\1#p' manifests/kustomization.yaml)
manifests kubeadm "${resources[@]}"
for platform in manifests/platforms/*/; do
	manifests "$(basename "$platform")" "$platform/kactus.yaml"
done

# The chart, with that image.
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cp -r manifests/chart/kactus "$tmp/kactus"
sed -i "s#^  repository: kactus\$#  repository: $image#" "$tmp/kactus/values.yaml"
grep -q "^  repository: $image\$" "$tmp/kactus/values.yaml" || die 'values.yaml: no repository to name'
helm=$(go run ./test/cluster/cmd/cluster build --only helm)
"${helm#helm=}" package "$tmp/kactus" --version "${version#v}" --app-version "$image_tag" --destination "$dir" >/dev/null

(cd "$dir" && sha256sum -- * >"$tmp/SHA256SUMS")
cp "$tmp/SHA256SUMS" "$dir/"
printf '%s\n' "$notes" >"$dir/notes.md"
ls -l "$dir"
