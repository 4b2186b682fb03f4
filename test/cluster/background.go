package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// refuseSecond makes sure that a folder has no control plane that runs: two etcds would
// ruin each other's data.
func refuseSecond(dir string) error {
	for _, part := range []Part{APIServer, Etcd} {
		running, err := findRecorded(dir, part)
		if err != nil {
			return fmt.Errorf("looking for a control plane in %s: %w", dir, err)
		}
		if running != nil {
			running.handle.Release()
			return fmt.Errorf("%s has a control plane that runs: %s is process %d", dir, part, running.pid)
		}
	}
	return nil
}

func (cp *ControlPlane) finishUp() error {
	if cp.madeDir {
		if err := os.WriteFile(cp.path(fileMadeByUp), nil, 0o600); err != nil {
			return err
		}
	}
	return cp.WriteKubeconfig(cp.path(fileKubeconfig), cp.adminToken)
}

// Down stops the control plane that Up started in a folder and removes what that left
// there. Only the very processes that Up started are signalled, not others that got their
// numbers since. A folder with no control plane is no error.
func Down(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	for _, part := range []Part{APIServer, Etcd} {
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
	_, err = os.Stat(filepath.Join(dir, fileMadeByUp))
	return removeState(dir, err == nil)
}
