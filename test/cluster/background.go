package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
)

// Up starts a control plane that outlives the calling process, in the directory options.Dir, and
// returns once it serves. The directory then holds the administrator's kubeconfig and the process
// IDs, which Down needs.
func Up(ctx context.Context, options Options) (*ControlPlane, error) {
	if options.Dir == "" {
		return nil, errors.New("starting a control plane in the background: Options.Dir: missing")
	}
	if err := refuseSecond(options.Dir); err != nil {
		return nil, err
	}
	cp, err := start(ctx, options, true)
	if err != nil {
		return nil, err
	}
	if err := cp.finishUp(); err != nil {
		return nil, errors.Join(err, cp.Stop())
	}
	return cp, nil
}

// UpNodes starts a cluster that outlives the calling process, as Up does a control plane, in the
// directory options.Dir.
func UpNodes(ctx context.Context, options NodesOptions) (*Cluster, error) {
	if options.Dir == "" {
		return nil, errors.New("starting a cluster in the background: Options.Dir: missing")
	}
	if err := refuseSecond(options.Dir); err != nil {
		return nil, err
	}
	c, err := startNodes(ctx, options, true)
	if err != nil {
		return nil, err
	}
	if err := c.finishUp(); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// refuseSecond returns an error if a control plane or a node runs in the directory: two etcds would
// destroy each other's data.
func refuseSecond(dir string) error {
	nodeDirs, err := findNodeDirs(dir)
	if err != nil {
		return err
	}
	for _, nodeDir := range append(nodeDirs, dir) {
		for _, part := range []Part{APIServer, Etcd, hostPart} {
			running, err := findRecorded(nodeDir, part)
			if err != nil {
				return fmt.Errorf("looking for a control plane in %s: %w", nodeDir, err)
			}
			if running != nil {
				running.handle.Release()
				return fmt.Errorf("starting a cluster in %s: %s already runs there as process %d", nodeDir, part,
					running.pid)
			}
		}
	}
	return nil
}

func (cp *ControlPlane) finishUp() error {
	return cp.WriteKubeconfig(cp.path(fileKubeconfig), cp.adminToken)
}

// Down stops what Up or UpNodes started in a directory and removes its files. Only the processes
// that were started are signaled, never others that have reused their IDs. Down succeeds where
// there is nothing to stop, and also after an Up that was interrupted.
func Down(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	nodeDirs, err := findNodeDirs(dir)
	if err != nil {
		return err
	}
	var nodes errgroup.Group
	for _, nodeDir := range nodeDirs {
		nodes.Go(func() error { return stopRecorded(nodeDir, hostPart) })
	}
	if err := nodes.Wait(); err != nil {
		return err
	}
	if err := stopRecorded(dir, hostPart, APIServer, Etcd); err != nil {
		return err
	}
	if err := removeCgroup(clusterCgroup(dir)); err != nil {
		return err
	}
	_, err = os.Stat(filepath.Join(dir, fileMadeByUp))
	return removeState(dir, err == nil)
}

// stopRecorded stops the parts that still run, one after the other. Stopping a host ends every
// process in it.
func stopRecorded(dir string, parts ...Part) error {
	for _, part := range parts {
		running, err := findRecorded(dir, part)
		if err != nil {
			return fmt.Errorf("looking for %s in %s: %w", part, dir, err)
		}
		if running == nil {
			continue
		}
		if err := running.stop(); err != nil {
			return err
		}
	}
	return nil
}
