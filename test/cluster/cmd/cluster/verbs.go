package main

import (
	"context"
	"fmt"
	"io"
	"net"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

func build(ctx context.Context, stdout, stderr io.Writer) error {
	binaries, err := cluster.Build(ctx, stderr, cluster.ClusterParts()...)
	if err != nil {
		return err
	}
	for _, part := range cluster.ClusterParts() {
		fmt.Fprintf(stdout, "%s=%s\n", part, binaries[part])
	}
	return nil
}

// up prints the kubeconfig's path as KUBECONFIG=PATH, for a script to take.
func up(ctx context.Context, s settings, stdout, stderr io.Writer) error {
	options := cluster.Options{Dir: s.dir, Builder: cluster.Builder{Progress: stderr}}
	if s.listen != nil {
		options.ExtraIPs = []net.IP{s.listen}
		options.APIServerArgs = []string{"--bind-address=0.0.0.0"}
	}
	cp, err := cluster.Up(ctx, options)
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "the apiserver serves at %s; stop it with: cluster down --dir %s\n", cp.URL(), s.dir)
	fmt.Fprintf(stdout, "KUBECONFIG=%s/kubeconfig\n", cp.Dir())
	return nil
}

func down(dir string, stderr io.Writer) error {
	if err := cluster.Down(dir); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%s has no control plane any more\n", dir)
	return nil
}
