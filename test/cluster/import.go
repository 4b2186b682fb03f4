package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// Import makes an image on every node.
func (c *Cluster) Import(ctx context.Context, image Image) error {
	archive, err := image.archive()
	if err != nil {
		return err
	}
	return c.eachNode(func(n *Node) error { return importArchive(ctx, n.Command, archive) })
}

// Import makes an image on every node of the cluster that UpNodes started in a folder.
func Import(ctx context.Context, dir string, image Image) error {
	archive, err := image.archive()
	if err != nil {
		return err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return err
	}
	folders, err := nodeFolders(dir)
	if err != nil {
		return err
	}
	if len(folders) == 0 {
		return fmt.Errorf("%s has no cluster with nodes", dir)
	}
	for _, folder := range folders {
		host, err := openHost(folder, nodeHost)
		if err != nil {
			return err
		}
		if host == nil {
			return fmt.Errorf("the node in %s is down", folder)
		}
		if err := importArchive(ctx, host.command, archive); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(folder), err)
		}
	}
	return nil
}

type commandFunc func(ctx context.Context, name string, args ...string) *exec.Cmd

func importArchive(ctx context.Context, command commandFunc, archive []byte) error {
	cmd := command(ctx, string(Ctr), "--namespace", "k8s.io", "images", "import", "-")
	cmd.Stdin = bytes.NewReader(archive)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("importing an image: %w\n%s", err, out)
	}
	return nil
}
