package cluster

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// needs are the things that a cluster needs before it starts.
type needs struct {
	runc     string
	binaries []string
	busybox  Image
	flannel  string
}

// findNeeds finds what the machine must have first, because the builds after that can take minutes.
func findNeeds(ctx context.Context, options *NodesOptions) (needs, error) {
	var n needs
	var err error
	if n.runc, err = exec.LookPath("runc"); err != nil {
		return n, fmt.Errorf("finding runc (Debian package runc): %w", err)
	}
	if n.runc, err = filepath.Abs(n.runc); err != nil {
		return n, err
	}
	if n.busybox, err = busyboxImage(ctx); err != nil {
		return n, err
	}
	if options.Binaries == nil {
		if options.Binaries, err = options.Builder.Build(ctx, ClusterParts()...); err != nil {
			return n, err
		}
	}
	for _, part := range []Part{Kubelet, Containerd, ContainerdShim, Ctr} {
		binary, err := options.Binaries.path(part)
		if err != nil {
			return n, fmt.Errorf("%s: %w", part, err)
		}
		n.binaries = append(n.binaries, binary)
	}
	if n.flannel, err = options.Binaries.path(Flannel); err != nil {
		return n, err
	}
	if options.Plugins == "" {
		if options.Plugins, err = options.Builder.BuildPlugins(ctx); err != nil {
			return n, err
		}
	}
	return n, nil
}
