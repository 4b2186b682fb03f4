package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
)

// Up starts a control plane that outlives the calling process, in the folder
// options.Dir, and returns once it serves. It leaves a kubeconfig of the administrator's
// and the processes' IDs there, for Down.
func Up(ctx context.Context, options Options) (*ControlPlane, error) {
	if options.Dir == "" {
		return nil, errors.New("starting a control plane in the background: Options.Dir is needed, to find it again")
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

// UpNodes starts a cluster that outlives the calling process, as Up does a control plane,
// in the folder options.Dir.
func UpNodes(ctx context.Context, options NodesOptions) (*Cluster, error) {
	if options.Dir == "" {
		return nil, errors.New("starting a cluster in the background: Options.Dir is needed, to find it again")
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

// refuseSecond makes sure that a folder has no control plane and no node that runs: two
// etcds would ruin each other's data.
func refuseSecond(dir string) error {
	folders, err := nodeFolders(dir)
	if err != nil {
		return err
	}
	for _, folder := range append(folders, dir) {
		for _, part := range []Part{APIServer, Etcd, hostPart} {
			running, err := findRecorded(folder, part)
			if err != nil {
				return fmt.Errorf("looking for a control plane in %s: %w", folder, err)
			}
			if running != nil {
				running.handle.Release()
				return fmt.Errorf("%s has something that runs: %s is process %d", folder, part, running.pid)
			}
		}
	}
	return nil
}

func (cp *ControlPlane) finishUp() error {
	return cp.WriteKubeconfig(cp.path(fileKubeconfig), cp.adminToken)
}

// Down stops what Up or UpNodes started in a folder and removes what that left there.
// Only the very processes that were started are signalled, not others that got their
// numbers since. A folder with no control plane is no error, and neither is one whose start
// was cut short.
func Down(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	folders, err := nodeFolders(dir)
	if err != nil {
		return err
	}
	var nodes errgroup.Group
	for _, folder := range folders {
		nodes.Go(func() error { return stopRecorded(folder, hostPart) })
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

// stopRecorded stops those parts that run, one after the other. With a host ends all that
// is in it.
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
