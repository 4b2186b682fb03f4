package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// command is one execution of a plugin, the way the CNI library does it: the configuration on stdin, the rest in the environment, the result on stdout.
type command struct {
	path  string
	args  []string
	stdin []byte
	env   []string
}

// runner runs commands, one or several for a verb, and keeps what it is there to measure of them.
type runner interface {
	run(c command) (stdout []byte, err error)
}

// clock is the runner of the timed rounds. The time on the wall is for its user to take.
type clock struct {
	mu sync.Mutex
	// cpu is the time on processors of each command, and of all the processes that it waited for.
	cpu time.Duration
}

func (k *clock) run(c command) ([]byte, error) {
	cmd := exec.Command(c.path, c.args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = bytes.NewReader(c.stdin), &stdout, &stderr, c.env
	err := cmd.Run()
	if state := cmd.ProcessState; state != nil {
		k.mu.Lock()
		k.cpu += state.UserTime() + state.SystemTime()
		k.mu.Unlock()
	}
	return stdout.Bytes(), c.explain(err, stdout.Bytes(), stderr.Bytes())
}

// explain puts what a command printed into its error.
func (c command) explain(err error, stdout, stderr []byte) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w: %s%s", filepath.Base(c.path), err, bytes.TrimSpace(stdout), bytes.TrimSpace(stderr))
}
