#!/usr/bin/env bash
# Builds the image of kactus: FROM scratch, one file.
set -euo pipefail

usage() {
	cat <<'END'
Usage: scripts/build-docker-image.sh [-t NAME:TAG] [-a ARCH[,ARCH...]] [-o FOLDER | -p] [-h]

  -t NAME:TAG  the image's name (default: kactus:latest)
  -a ARCH,...  the architectures, cross-compiled (default: amd64,arm64)
  -o FOLDER    write FOLDER/kactus-ARCH.tar for each, without docker: for docker load, or ctr -n k8s.io images import
  -p           push to the registry that NAME names, with docker buildx, as one image of all architectures
  -h           print this

With neither -o nor -p, the image of this machine's architecture is loaded into docker.
END
}

image=kactus:latest archs=amd64,arm64 folder='' push=''
while getopts t:a:o:ph option; do
	case $option in
		t) image=$OPTARG ;;
		a) archs=$OPTARG ;;
		o) folder=$(readlink -m "$OPTARG") ;;
		p) push=yes ;;
		h) usage; exit 0 ;;
		*) usage >&2; exit 2 ;;
	esac
done
[ $((OPTIND - 1)) = $# ] || { usage >&2; exit 2; }
[ -z "$folder" ] || [ -z "$push" ] || { echo 'build-docker-image: -o and -p exclude each other' >&2; exit 2; }
case $image in *:*) ;; *) image=$image:latest ;; esac

cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

IFS=, read -r -a list <<<"$archs"
for arch in "${list[@]}"; do
	echo "building kactus for $arch" >&2
	GOARCH=$arch ./build.sh -o "bin/image/$arch/kactus"
done

# archive ARCH FILE: an image as docker save writes it: a layer, a configuration, a manifest. The same bytes for the same binary.
archive() {
	local arch=$1 file=$2 dir layer config
	dir=$(mktemp -d)
	tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "bin/image/$arch" -cf "$dir/layer.tar" kactus
	layer=$(sha256sum "$dir/layer.tar" | cut -d' ' -f1)
	printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":["/kactus"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
		"$arch" "$layer" >"$dir/config.json"
	config=$(sha256sum "$dir/config.json" | cut -d' ' -f1)
	mv "$dir/config.json" "$dir/$config.json"
	printf '[{"Config":"%s.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$config" "$image" >"$dir/manifest.json"
	tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$dir" -cf "$file.part" "$config.json" layer.tar manifest.json
	mv "$file.part" "$file"
	rm -rf "$dir"
}

if [ -n "$folder" ]; then
	mkdir -p "$folder"
	for arch in "${list[@]}"; do
		archive "$arch" "$folder/kactus-$arch.tar"
		echo "$folder/kactus-$arch.tar"
	done
elif [ -n "$push" ]; then
	docker buildx build --platform "$(printf 'linux/%s,' "${list[@]}" | sed 's/,$//')" --tag "$image" --push .
else
	docker build --build-arg "TARGETARCH=$(go env GOHOSTARCH)" --tag "$image" .
fi
