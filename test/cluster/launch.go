package cluster

import (
	"errors"
	"fmt"
	"path/filepath"
)

// launch starts a part in the way that suits this control plane. A detached part's
// identity is on disk before anything else can go wrong.
func (cp *ControlPlane) launch(part Part, args []string) (*process, error) {
	binary := cp.options.Binaries[part]
	if binary == "" {
		return nil, fmt.Errorf("starting %s: Options.Binaries does not hold it", part)
	}
	binary, err := filepath.Abs(binary)
	if err != nil {
		return nil, fmt.Errorf("finding the absolute path of %s: %w", binary, err)
	}
	p, err := startProcess(binary, args, cp.path(string(part)+suffixLog), cp.detached)
	if err != nil || !cp.detached {
		return p, err
	}
	if err := recordPID(cp.dir, part, p.pid); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// failedStart cleans up after a process that never got ready, and tells the one cause
// that another try can cure.
func failedStart(p *process, cause error, port int) error {
	if !p.running() && portTaken(port) {
		cause = fmt.Errorf("%w (127.0.0.1:%d): %w", errPortTaken, port, cause)
	}
	return errors.Join(cause, p.stop())
}
