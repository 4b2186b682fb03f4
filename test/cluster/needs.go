package cluster

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
)

// needs are the things that a cluster needs before it starts.
type needs struct {
	runc     string
	conmon   string            // empty if no node has CRI-O
	binaries map[Part][]string // of a node, by its runtime
	busybox  Image
	flannel  string
}

// findNeeds finds what the machine must have first, because the builds after that can take minutes.
func findNeeds(ctx context.Context, options *NodesOptions) (needs, error) {
	var n needs
	var err error
	if n.runc, err = findPackaged("runc"); err != nil {
		return n, err
	}
	if slices.Contains(options.runtimes(), CRIO) {
		if n.conmon, err = findPackaged("conmon"); err != nil {
			return n, err
		}
	}
	if n.busybox, err = busyboxImage(ctx); err != nil {
		return n, err
	}
	if options.Binaries == nil {
		if options.Binaries, err = options.Builder.Build(ctx, ClusterParts(options.runtimes()...)...); err != nil {
			return n, err
		}
	}
	n.binaries = make(map[Part][]string)
	for _, runtime := range options.runtimes() {
		for _, part := range append(runtimeParts(runtime), Kubelet) {
			binary, err := options.Binaries.path(part)
			if err != nil {
				return n, fmt.Errorf("%s: %w", part, err)
			}
			n.binaries[runtime] = append(n.binaries[runtime], binary)
		}
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

// findPackaged returns the absolute path of a program that is in the Debian package of its name.
func findPackaged(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("finding %s (Debian package %[1]s): %w", name, err)
	}
	return filepath.Abs(path)
}
