#!/usr/bin/env bash
# Builds the kactus image, which is FROM scratch and has one file. It needs no docker.
set -euo pipefail

usage() {
	cat <<'END'
Usage: scripts/build-docker-image.sh [-t NAME:TAG] [-a ARCH[,ARCH...]] [-o DIR [-s] | -p] [-h]

  -t NAME:TAG  name of the image (default: kactus:latest)
  -a ARCH,...  architectures to build for (default: amd64,arm64)
  -o DIR       write DIR/kactus-ARCH.tar for each architecture; import it with docker load or
               ctr -n k8s.io images import. Of several architectures, also write DIR/kactus.tar, an
               OCI layout with all of them, for registries
  -s           also write DIR/kactus-ARCH.cdx.json, an SBOM of each binary, in CycloneDX's format
  -p           push the image, of all architectures, to the registry in NAME, with the credentials of
               docker login or podman login
  -h           print this help

Without -o and -p, the image for this machine's architecture is loaded into docker. The same commit
and the same Go give the same bytes. -s and -p need tools that Go downloads and builds once.
END
}

die() {
	printf 'build-docker-image: %s\n' "$*" >&2
	exit 2
}

image=kactus:latest archs='' dir='' sbom='' push=''
while getopts t:a:o:sph option; do
	case $option in
		t) image=$OPTARG ;;
		a) archs=$OPTARG ;;
		o) dir=$(readlink -m "$OPTARG") ;;
		s) sbom=yes ;;
		p) push=yes ;;
		h) usage; exit 0 ;;
		*) usage >&2; exit 2 ;;
	esac
done
[ $((OPTIND - 1)) = $# ] || { usage >&2; exit 2; }
[ -z "$dir" ] || [ -z "$push" ] || die '-o and -p cannot be combined'
[ -z "$sbom" ] || [ -n "$dir" ] || die '-s needs -o'
case ${image##*/} in *:*) ;; *) image=$image:latest ;; esac

cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
command -v go >/dev/null || die 'go is not in PATH'

if [ -z "$archs" ]; then
	archs=amd64,arm64
	[ -n "$dir$push" ] || archs=$(go env GOHOSTARCH)
fi
IFS=, read -r -a list <<<"$archs"
for arch in "${list[@]}"; do
	[[ $arch == amd64 || $arch == arm64 ]] || die "-a $arch: must be amd64 or arm64"
done

read -r version commit date <<<"$(./build.sh --version)"
for arch in "${list[@]}"; do
	echo "building kactus $version for $arch" >&2
	GOARCH=$arch ./build.sh -o "bin/image/$arch/kactus"
done

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# pack FILE DIR MEMBER... writes an archive of members of a directory that does not depend on when,
# where and by whom it is written.
pack() {
	tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --format=ustar \
		-C "$2" -cf "$1" "${@:3}"
}

# The layout has the content of an image by its digest, as the OCI image format specifies:
# https://github.com/opencontainers/image-spec/blob/main/image-layout.md
layout=$tmp/layout

# add MEDIATYPE moves $tmp/content into the layout, and prints a descriptor of it, without the
# braces.
add() {
	local digest size
	digest=$(sha256sum "$tmp/content" | cut -d' ' -f1)
	size=$(stat -c %s "$tmp/content")
	mv "$tmp/content" "$layout/blobs/sha256/$digest"
	printf '"mediaType":"application/vnd.oci.image.%s","digest":"sha256:%s","size":%s' "$1" "$digest" "$size"
}

# digest prints the digest, in hexadecimal, that a descriptor has.
digest() {
	sed 's/.*"sha256:\([0-9a-f]*\)".*/\1/' <<<"$1"
}

source=https://$(sed -n 's/^module //p' go.mod)
about='{"org.opencontainers.image.title":"kactus"'
about+=',"org.opencontainers.image.description":"A CNI meta-plugin that gives Pods more than one network"'
about+=",\"org.opencontainers.image.source\":\"$source\",\"org.opencontainers.image.licenses\":\"Apache-2.0\""
about+=",\"org.opencontainers.image.version\":\"$version\",\"org.opencontainers.image.revision\":\"$commit\"}"
created=''
[ "$date" = unknown ] || created="\"created\":\"$date\","

# runtimes find an image by its name in full.
name=$image
case $image in
	*/*) [[ ${image%%/*} == *[.:]* || ${image%%/*} == localhost ]] || name=docker.io/$image ;;
	*) name=docker.io/library/$image ;;
esac

# lay_out ARCH... makes the layout of an image: of one architecture, with the manifest that docker
# load reads, or else of an index.
lay_out() {
	local arch files layer config manifest manifests=''
	rm -rf "$layout"
	mkdir -p "$layout/blobs/sha256"
	for arch; do
		pack "$tmp/files" "bin/image/$arch" kactus
		files=$(sha256sum "$tmp/files" | cut -d' ' -f1)
		gzip --no-name --best --stdout "$tmp/files" >"$tmp/content"
		layer=$(add layer.v1.tar+gzip)
		printf '{%s"architecture":"%s","os":"linux","config":{"Entrypoint":["/kactus"],"Labels":%s},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
			"$created" "$arch" "$about" "$files" >"$tmp/content"
		config=$(add config.v1+json)
		printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{%s},"layers":[{%s}],"annotations":%s}' \
			"$config" "$layer" "$about" >"$tmp/content"
		manifest=$(add manifest.v1+json)
		manifests+=",{$manifest,\"platform\":{\"architecture\":\"$arch\",\"os\":\"linux\"}}"
	done
	if [ $# = 1 ]; then
		printf '[{"Config":"blobs/sha256/%s","RepoTags":["%s"],"Layers":["blobs/sha256/%s"]}]' \
			"$(digest "$config")" "$image" "$(digest "$layer")" >"$layout/manifest.json"
	else
		printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s],"annotations":%s}' \
			"${manifests#,}" "$about" >"$tmp/content"
		manifest=$(add index.v1+json)
	fi
	printf '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
	printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{%s,"annotations":{"io.containerd.image.name":"%s","org.opencontainers.image.ref.name":"%s"}}]}' \
		"$manifest" "$name" "${image##*:}" >"$layout/index.json"
}

# archive FILE ARCH... writes the image of one or more architectures, and prints the file's name.
archive() {
	lay_out "${@:2}"
	local members
	mapfile -t members < <(ls "$layout")
	pack "$1.part" "$layout" "${members[@]}"
	mv "$1.part" "$1"
	echo "$1"
}

# tool PACKAGE ARG... runs a program of scripts/tools. It is built so that its own hash, which is in
# the SBOM, is the same everywhere.
tool() {
	GOARCH='' go build -C scripts/tools -trimpath -buildvcs=false -o ../../bin/tools/ "$1"
	"bin/tools/${1##*/}" "${@:2}"
}

# sbom ARCH FILE writes an SBOM from what the binary says that it is built from, and prints the
# file's name. Without a serial number and a time, the same binary has the same SBOM.
sbom() {
	tool github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod bin -json -noserial -notimestamp -std \
		-version "$version" -output "$2" "bin/image/$1/kactus"
	echo "$2"
}

if [ -n "$dir" ]; then
	mkdir -p "$dir"
	for arch in "${list[@]}"; do
		archive "$dir/kactus-$arch.tar" "$arch"
		[ -z "$sbom" ] || sbom "$arch" "$dir/kactus-$arch.cdx.json"
	done
	[ ${#list[@]} = 1 ] || archive "$dir/kactus.tar" "${list[@]}"
elif [ -n "$push" ]; then
	lay_out "${list[@]}"
	rm -f "$layout/manifest.json"
	tool github.com/google/go-containerregistry/cmd/crane push "$layout" "$image"
else
	archive "$tmp/kactus.tar" "${list[@]}" >/dev/null
	docker load --input "$tmp/kactus.tar"
fi
