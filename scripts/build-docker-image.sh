#!/usr/bin/env bash
# Builds the kactus image, which is FROM scratch and has one file.
set -euo pipefail

usage() {
	cat <<'END'
Usage: scripts/build-docker-image.sh [-t NAME:TAG] [-a ARCH[,ARCH...]] [-o DIR | -p] [-h]

  -t NAME:TAG  name of the image (default: kactus:latest)
  -a ARCH,...  architectures to build for (default: amd64,arm64)
  -o DIR       write DIR/kactus-ARCH.tar for each architecture, without docker; import it with docker
               load or ctr -n k8s.io images import
  -p           push a multi-architecture image to the registry in NAME, with docker buildx
  -h           print this help

Without -o and -p, the image for this machine's architecture is loaded into docker.
END
}

image=kactus:latest archs=amd64,arm64 dir='' push=''
while getopts t:a:o:ph option; do
	case $option in
		t) image=$OPTARG ;;
		a) archs=$OPTARG ;;
		o) dir=$(readlink -m "$OPTARG") ;;
		p) push=yes ;;
		h) usage; exit 0 ;;
		*) usage >&2; exit 2 ;;
	esac
done
[ $((OPTIND - 1)) = $# ] || { usage >&2; exit 2; }
[ -z "$dir" ] || [ -z "$push" ] || { echo 'build-docker-image: -o and -p cannot be combined' >&2; exit 2; }
case $image in *:*) ;; *) image=$image:latest ;; esac

cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

IFS=, read -r -a list <<<"$archs"
for arch in "${list[@]}"; do
	echo "building kactus for $arch" >&2
	GOARCH=$arch ./build.sh -o "bin/image/$arch/kactus"
done

# archive ARCH FILE writes an image in the format of docker save: a layer, a configuration and a
# manifest. The same binary gives the same bytes.
archive() {
	local arch=$1 file=$2 tmp layer config
	tmp=$(mktemp -d)
	tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "bin/image/$arch" -cf "$tmp/layer.tar" kactus
	layer=$(sha256sum "$tmp/layer.tar" | cut -d' ' -f1)
	printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":["/kactus"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
		"$arch" "$layer" >"$tmp/config.json"
	config=$(sha256sum "$tmp/config.json" | cut -d' ' -f1)
	mv "$tmp/config.json" "$tmp/$config.json"
	printf '[{"Config":"%s.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$config" "$image" >"$tmp/manifest.json"
	tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$tmp" -cf "$file.part" "$config.json" layer.tar manifest.json
	mv "$file.part" "$file"
	rm -rf "$tmp"
}

if [ -n "$dir" ]; then
	mkdir -p "$dir"
	for arch in "${list[@]}"; do
		archive "$arch" "$dir/kactus-$arch.tar"
		echo "$dir/kactus-$arch.tar"
	done
elif [ -n "$push" ]; then
	docker buildx build --platform "$(printf 'linux/%s,' "${list[@]}" | sed 's/,$//')" --tag "$image" --push .
else
	docker build --build-arg "TARGETARCH=$(go env GOHOSTARCH)" --tag "$image" .
fi
