package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"syscall"
)

// scale is the runner that weighs: it stops a command as it ends, and reads the most memory that it ever held. (The kernel's account of a process that ended, ru_maxrss,
// has what the processes that it waited for held too, and what its parent held when it was forked.) It takes time, and so is not for the timed rounds.
type scale struct {
	kib int64 // the most of all commands
}

func (s *scale) run(c command) ([]byte, error) {
	runtime.LockOSThread() // the tracer is a thread
	defer runtime.UnlockOSThread()
	in, errIn := scratch(c.stdin)
	out, errOut := scratch(nil)
	if err := errors.Join(errIn, errOut); err != nil {
		return nil, err
	}
	defer in.Close()
	defer out.Close()
	cmd := exec.Command(c.path, c.args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = in, out, out, c.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	status, err := s.follow(cmd.Process.Pid)
	stdout, errRead := os.ReadFile(out.Name())
	if err := errors.Join(err, errRead, cmd.Process.Release()); err != nil {
		return nil, fmt.Errorf("weigh %s: %w", c.path, err)
	}
	if status.ExitStatus() != 0 {
		return nil, c.explain(fmt.Errorf("exit status %d", status.ExitStatus()), stdout, nil)
	}
	return stdout, nil
}

// scratch is an file in the run's folder, which goes with the run. It has data and is read from its beginning.
func scratch(data []byte) (*os.File, error) {
	file, err := os.CreateTemp("", "scratch-")
	if err != nil {
		return nil, err
	}
	_, errWrite := file.WriteAt(data, 0)
	return file, errWrite
}

// follow lets the process run to its end, which it is stopped at.
func (s *scale) follow(pid int) (status syscall.WaitStatus, err error) {
	weighed := false
	for first := true; ; first = false {
		if _, err := syscall.Wait4(pid, &status, syscall.WALL, nil); err != nil {
			return status, err
		}
		if status.Exited() || status.Signaled() {
			if !weighed {
				return status, errors.New("it ended without a stop")
			}
			return status, nil
		}
		signal := 0
		switch {
		case first: // it has just become the program
			err = syscall.PtraceSetOptions(pid, syscall.PTRACE_O_TRACEEXIT)
		case status.TrapCause() == syscall.PTRACE_EVENT_EXIT:
			weighed, err = true, s.weigh(pid)
		case status.StopSignal() != syscall.SIGTRAP:
			signal = int(status.StopSignal())
		}
		if err := errors.Join(err, syscall.PtraceCont(pid, signal)); err != nil {
			return status, err
		}
	}
}

var highWater = regexp.MustCompile(`VmHWM:\s*(\d+) kB`)

func (s *scale) weigh(pid int) error {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return err
	}
	m := highWater.FindSubmatch(data)
	if m == nil {
		return errors.New("the kernel does not tell its memory")
	}
	kib, err := strconv.ParseInt(string(m[1]), 10, 64)
	s.kib = max(s.kib, kib)
	return err
}
