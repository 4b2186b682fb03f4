package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// A command is one execution of a plugin, as the CNI library does it: the configuration on stdin,
// the rest in the environment, the result on stdout.
type command struct {
	path  string
	args  []string
	stdin []byte
	env   []string
}

// A runner runs the commands of an operation, one or several, and measures them.
type runner interface {
	run(c command) (stdout []byte, err error)
}

// cpuTimer is the runner of the timed rounds. It measures CPU time; measuring wall time is up to
// its user.
type cpuTimer struct {
	mu sync.Mutex
	// cpu is the CPU time of the commands and of all processes that they waited for.
	cpu time.Duration
}

func (t *cpuTimer) run(c command) ([]byte, error) {
	cmd := exec.Command(c.path, c.args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = bytes.NewReader(c.stdin), &stdout, &stderr, c.env
	err := cmd.Run()
	if state := cmd.ProcessState; state != nil {
		t.mu.Lock()
		t.cpu += state.UserTime() + state.SystemTime()
		t.mu.Unlock()
	}
	return stdout.Bytes(), c.explain(err, stdout.Bytes(), stderr.Bytes())
}

// explain adds the output of a command to its error.
func (c command) explain(err error, stdout, stderr []byte) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w: %s%s", filepath.Base(c.path), err, bytes.TrimSpace(stdout), bytes.TrimSpace(stderr))
}
