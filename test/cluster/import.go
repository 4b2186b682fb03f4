package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// Import makes an image and imports it into the runtime of every node.
func (c *Cluster) Import(ctx context.Context, image Image) error {
	archive, err := image.archive()
	if err != nil {
		return err
	}
	return c.eachNode(func(n *Node) error { return importArchive(ctx, n.Command, archive) })
}

// Import makes an image and imports it into every node of the cluster that UpNodes started in dir.
func Import(ctx context.Context, dir string, image Image) error {
	archive, err := image.archive()
	if err != nil {
		return err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return err
	}
	nodeDirs, err := findNodeDirs(dir)
	if err != nil {
		return err
	}
	if len(nodeDirs) == 0 {
		return fmt.Errorf("importing %s: no cluster with nodes in %s", image.Name, dir)
	}
	for _, nodeDir := range nodeDirs {
		host, err := openHost(nodeDir, nodeHost)
		if err != nil {
			return err
		}
		if host == nil {
			return fmt.Errorf("importing %s: the node in %s is down", image.Name, nodeDir)
		}
		if err := importArchive(ctx, host.command, archive); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(nodeDir), err)
		}
	}
	return nil
}

type commandFunc func(ctx context.Context, name string, args ...string) *exec.Cmd

func importArchive(ctx context.Context, command commandFunc, archive []byte) error {
	cmd := command(ctx, importProgram)
	cmd.Stdin = bytes.NewReader(archive)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("importing an image: %w\n%s", err, out)
	}
	return nil
}
