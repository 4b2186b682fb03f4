package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// memoryMeter is the runner that measures peak memory. It stops a command at its exit and reads the
// peak from /proc. (ru_maxrss will not do: it includes the memory of child processes, and of the
// parent at the time of the fork.) Since that takes time, the timed rounds do not use it.
type memoryMeter struct {
	kib int64 // the maximum of all commands
}

func (m *memoryMeter) run(c command) ([]byte, error) {
	runtime.LockOSThread() // ptrace(2) traces for a thread
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
	status, err := m.follow(cmd.Process.Pid)
	stdout, errRead := os.ReadFile(out.Name())
	if err := errors.Join(err, errRead, cmd.Process.Release()); err != nil {
		return nil, fmt.Errorf("measuring the memory of %s: %w", c.path, err)
	}
	if status.ExitStatus() != 0 {
		return nil, c.explain(fmt.Errorf("exit status %d", status.ExitStatus()), stdout, nil)
	}
	return stdout, nil
}

// scratch makes a file with data in the run's temporary directory, open at the start of the data.
func scratch(data []byte) (*os.File, error) {
	file, err := os.CreateTemp("", "scratch-")
	if err != nil {
		return nil, err
	}
	_, errWrite := file.WriteAt(data, 0)
	return file, errWrite
}

// follow lets the process run, and measures its memory when it stops at its exit.
func (m *memoryMeter) follow(pid int) (status syscall.WaitStatus, err error) {
	measured := false
	for first := true; ; first = false {
		if _, err := syscall.Wait4(pid, &status, syscall.WALL, nil); err != nil {
			return status, err
		}
		if status.Exited() || status.Signaled() {
			if !measured {
				return status, errors.New("ended without a stop at the exit")
			}
			return status, nil
		}
		signal := 0
		switch {
		case first: // stopped by execve(2)
			err = syscall.PtraceSetOptions(pid, syscall.PTRACE_O_TRACEEXIT)
		case status.TrapCause() == syscall.PTRACE_EVENT_EXIT:
			measured, err = true, m.measurePeak(pid)
		case status.StopSignal() != syscall.SIGTRAP:
			signal = int(status.StopSignal())
		}
		if err := errors.Join(err, syscall.PtraceCont(pid, signal)); err != nil {
			return status, err
		}
	}
}

func (m *memoryMeter) measurePeak(pid int) error {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return err
	}
	peak, err := kib(highWater, status)
	m.kib = max(m.kib, peak)
	return err
}
