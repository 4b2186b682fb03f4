package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

func build(ctx context.Context, s settings, stdout, stderr io.Writer) error {
	builder := cluster.Builder{Progress: stderr}
	var parts []cluster.Part
	switch {
	case s.controlPlane:
		parts = cluster.Parts()
	case !s.only:
		parts = cluster.ClusterParts(s.runtimes...)
	}
	for _, name := range s.rest {
		parts = append(parts, cluster.Part(name))
	}
	binaries, err := builder.Build(ctx, parts...)
	if err != nil {
		return err
	}
	if !s.controlPlane && !s.only {
		if _, err := builder.BuildPlugins(ctx); err != nil {
			return err
		}
	}
	for _, part := range parts {
		fmt.Fprintf(stdout, "%s=%s\n", part, binaries[part])
	}
	return nil
}

// up prints the kubeconfig's path as KUBECONFIG=PATH, for scripts.
func up(ctx context.Context, s settings, stdout, stderr io.Writer) error {
	if s.nodes > 0 {
		return upNodes(ctx, s, stdout, stderr)
	}
	options := cluster.Options{Dir: s.dir, Builder: cluster.Builder{Progress: stderr}}
	if s.listen != nil {
		options.ExtraIPs = []net.IP{s.listen}
		options.APIServerArgs = []string{"--bind-address=0.0.0.0"}
	}
	cp, err := cluster.Up(ctx, options)
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "the apiserver serves at %s; to stop: cluster down --dir %s\n", cp.URL(), s.dir)
	fmt.Fprintf(stdout, "KUBECONFIG=%s/kubeconfig\n", cp.Dir())
	return nil
}

func upNodes(ctx context.Context, s settings, stdout, stderr io.Writer) error {
	c, err := cluster.UpNodes(ctx, cluster.NodesOptions{
		Options:  cluster.Options{Dir: s.dir, Builder: cluster.Builder{Progress: stderr}},
		Nodes:    s.nodes,
		Runtimes: s.runtimes,
		CNI:      cluster.CNI(strings.TrimPrefix(s.cni, "none")),
	})
	if err != nil {
		return err
	}
	const help = `The cluster runs. To use it:
  export KUBECONFIG=%[1]s/kubeconfig
  %[2]s get nodes
  %[1]s/node1/enter ip address
To stop: cluster down --dir %[1]s
`
	fmt.Fprintf(stderr, help, c.Dir(), c.Kubectl(ctx).Path)
	fmt.Fprintf(stdout, "KUBECONFIG=%s/kubeconfig\n", c.Dir())
	return nil
}

func makeImage(ctx context.Context, s settings, stderr io.Writer) error {
	image := cluster.Image{Name: s.rest[0]}
	for _, arg := range s.rest[1:] {
		source, path, found := strings.Cut(arg, "=")
		if !found {
			path = "/" + filepath.Base(source)
		}
		image.Files = append(image.Files, cluster.ImageFile{Path: path, Source: source})
	}
	if err := cluster.Import(ctx, s.dir, image); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "imported the image %s on every node\n", image.Name)
	return nil
}

func down(dir string, stderr io.Writer) error {
	if err := cluster.Down(dir); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "stopped everything in %s\n", dir)
	return nil
}
