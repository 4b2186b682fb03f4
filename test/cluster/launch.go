package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// launch starts a part, on the control plane's host if there is one. The identity of a detached
// part is recorded before anything else can fail.
func (cp *ControlPlane) launch(part Part, args []string, files ...*os.File) (*process, error) {
	binary, err := cp.options.Binaries.path(part)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", part, err)
	}
	prog := program{binary: binary, args: args, log: cp.path(string(part) + suffixLog), detached: cp.detached,
		files: files}
	if cp.host != nil {
		prog.enter = cp.host.enter
	}
	p, err := startProcess(prog)
	if err != nil || !cp.detached {
		return p, err
	}
	if err := recordPID(cp.dir, part, p.pid); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// path returns the absolute path of a part's binary.
func (b Binaries) path(part Part) (string, error) {
	if b[part] == "" {
		return "", errors.New("binary: not in Options.Binaries")
	}
	binary, err := filepath.Abs(b[part])
	if err != nil {
		return "", fmt.Errorf("finding the absolute path of %s: %w", b[part], err)
	}
	return binary, nil
}

// failedStart stops a process that did not become ready. The error wraps errPortTaken if the cause
// is that another process listens on the port, where a retry helps.
func failedStart(p *process, cause error, port int) error {
	if !p.running() && portTaken(port) {
		cause = fmt.Errorf("%w (127.0.0.1:%d): %w", errPortTaken, port, cause)
	}
	return errors.Join(cause, p.stop())
}
