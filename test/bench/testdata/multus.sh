#!/bin/sh
# The hook of Multus for scripts/bench.sh. Multus reads the NetworkAttachmentDefinitions, which the
# benchmark creates for kactus too, and has no hot operations. The type hook in test/bench/peer.go
# describes how hooks are called.
set -eu

case $1 in
	setup | hot) ;;
	annotations) printf '{"k8s.v1.cni.cncf.io/networks": "%s"}\n' "$(echo $NETWORKS | tr ' ' ,)" ;;
	*) exit 2 ;;
esac
