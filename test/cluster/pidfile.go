package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// recordPID writes the process ID of a part to DIR/PART.pid, for people and scripts, and
// beside it what tells that process from a later one of the same number.
func recordPID(dir string, part Part, pid int) error {
	started, err := startOf(pid)
	if err != nil {
		return fmt.Errorf("reading the start time of process %d: %w", pid, err)
	}
	if err := os.WriteFile(pidFile(dir, part, suffixStartedPID), []byte(started+"\n"), 0o600); err != nil {
		return err
	}
	return os.WriteFile(pidFile(dir, part, suffixPID), []byte(strconv.Itoa(pid)+"\n"), 0o600)
}

// findRecorded returns the process that recordPID recorded, or nil if it is gone.
func findRecorded(dir string, part Part) (*recorded, error) {
	content, err := os.ReadFile(pidFile(dir, part, suffixPID))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil || pid <= 1 {
		return nil, fmt.Errorf("%s holds no process ID: %q", pidFile(dir, part, suffixPID), content)
	}
	started, err := os.ReadFile(pidFile(dir, part, suffixStartedPID))
	if err != nil {
		return nil, err
	}
	// The handle first, the identity second: a handle stays with the process that it was
	// made for, so that a signal through it cannot reach one that takes over the number.
	handle, err := os.FindProcess(pid)
	if err != nil {
		return nil, err
	}
	r := &recorded{name: string(part), pid: pid, started: strings.TrimSpace(string(started)), handle: handle}
	if alive, err := r.alive(); !alive || err != nil {
		return nil, errors.Join(err, handle.Release())
	}
	return r, nil
}

func pidFile(dir string, part Part, suffix string) string {
	return filepath.Join(dir, string(part)+suffix)
}

// recorded is a process that an earlier command may have started.
type recorded struct {
	name    string
	pid     int
	started string
	handle  *os.Process
}

// stop ends the process: politely first, then not.
func (r *recorded) stop() error {
	defer r.handle.Release()
	for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := r.handle.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("sending %v to %s (process %d): %w", signal, r.name, r.pid, err)
		}
		if gone, err := r.awaitEnd(); gone || err != nil {
			return err
		}
	}
	return fmt.Errorf("%s (process %d) survives SIGKILL", r.name, r.pid)
}

// awaitEnd polls: the end of a process that is not a child is announced to nobody.
func (r *recorded) awaitEnd() (gone bool, err error) {
	deadline := time.After(stopGrace)
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		if alive, err := r.alive(); !alive || err != nil {
			return err == nil, err
		}
		select {
		case <-deadline:
			return false, nil
		case <-poll.C:
		}
	}
}

func (r *recorded) alive() (bool, error) {
	started, err := startOf(r.pid)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking at process %d: %w", r.pid, err)
	}
	return started == r.started, nil
}

// startOf returns when a process started: the boot, and the clock ticks since. One that
// is dead and only waits for its parent to notice counts as gone.
func startOf(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, syscall.ESRCH) {
		err = fs.ErrNotExist // it went while the file was read
	}
	if err != nil {
		return "", err
	}
	// The second field, the name, is in parentheses and may hold anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const state, startTime = 0, 19 // fields 3 and 22 of proc(5)
	if len(fields) <= startTime {
		return "", fmt.Errorf("/proc/%d/stat has %d fields after the name", pid, len(fields))
	}
	if fields[state] == "Z" || fields[state] == "X" {
		return "", fs.ErrNotExist
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("reading the boot's identity: %w", err)
	}
	return strings.TrimSpace(string(boot)) + " " + fields[startTime], nil
}
