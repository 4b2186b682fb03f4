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

// recordPID writes the process ID of a part to DIR/PART.pid, for people and scripts, and to another
// file the start time, which distinguishes the process from a later one with the same ID.
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

// findRecorded returns the process that recordPID recorded, or nil if that has ended.
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
		return nil, fmt.Errorf("reading %s: not a process ID: %q", pidFile(dir, part, suffixPID), content)
	}
	started, err := os.ReadFile(pidFile(dir, part, suffixStartedPID))
	if err != nil {
		return nil, err
	}
	// Open the handle before checking the identity: a handle refers to one process forever, so that
	// a signal can never reach another process that reuses the ID.
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

// recorded is a process that another command may have started.
type recorded struct {
	name    string
	pid     int
	started string
	handle  *os.Process
}

// stop ends the process, with SIGTERM and then with SIGKILL.
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
	return fmt.Errorf("stopping %s (process %d): still running after SIGKILL", r.name, r.pid)
}

// awaitEnd waits for the end of the process. It polls, because the process need not be a child.
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
		return false, fmt.Errorf("reading the state of process %d: %w", r.pid, err)
	}
	return started == r.started, nil
}

// startOf returns when a process started, as the boot ID and the clock ticks since boot. The error
// is fs.ErrNotExist if the process has ended, even if its parent has not waited for it yet.
func startOf(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, syscall.ESRCH) {
		err = fs.ErrNotExist // the process ended while the file was read
	}
	if err != nil {
		return "", err
	}
	// The second field, the name, is in parentheses and may contain anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const state, startTime = 0, 19 // fields 3 and 22 of proc(5)
	if len(fields) <= startTime {
		return "", fmt.Errorf("reading /proc/%d/stat: only %d fields after the name", pid, len(fields))
	}
	if fields[state] == "Z" || fields[state] == "X" {
		return "", fs.ErrNotExist
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("reading the boot ID: %w", err)
	}
	return strings.TrimSpace(string(boot)) + " " + fields[startTime], nil
}
