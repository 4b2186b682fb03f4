package faults

import (
	"errors"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A tracer follows the threads of one kactus by ptrace. Processes that it starts are not followed.
type tracer struct {
	pid int
	// entry and exit are called when a thread, which is stopped meanwhile, enters and leaves a
	// system call.
	entry, exit func(thread int, info *syscallInfo)
	known       map[int]bool
}

// trace runs cmd to its end under the tracer, and reports whether it succeeded.
func (tr *tracer) trace(t *testing.T, cmd *exec.Cmd) (succeeded bool) {
	t.Helper()
	runtime.LockOSThread() // the kernel identifies the tracer by its thread
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tr.pid, tr.known = cmd.Process.Pid, map[int]bool{cmd.Process.Pid: true}
	status, err := tr.run()
	if err != nil {
		_ = cmd.Process.Kill()
		t.Errorf("trace the system calls of kactus: %v", err)
	}
	_ = cmd.Wait() // the tracer has reaped the process: this closes its pipes
	return status.Exited() && status.ExitStatus() == 0
}

// run returns the status with which the process ended.
func (tr *tracer) run() (unix.WaitStatus, error) {
	const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_EXITKILL
	var status unix.WaitStatus
	if _, err := unix.Wait4(tr.pid, &status, unix.WALL, nil); err != nil { // stopped after its exec
		return 0, err
	}
	if err := unix.PtraceSetOptions(tr.pid, options); err != nil {
		return 0, err
	}
	thread, signal := tr.pid, 0
	for {
		if err := unix.PtraceSyscall(thread, signal); err != nil && !errors.Is(err, unix.ESRCH) { // ESRCH: killed
			return 0, err
		}
		var err error
		thread, status, err = tr.await()
		if err != nil || !status.Stopped() {
			return status, err
		}
		signal = tr.stopped(thread, status.StopSignal())
	}
}

// await waits until a thread stops or the process has ended. The process is alone in its group, but
// for children that are about to leave it.
func (tr *tracer) await() (thread int, status unix.WaitStatus, err error) {
	for {
		thread, err = unix.Wait4(-tr.pid, &status, unix.WALL|unix.WNOTHREAD, nil)
		if errors.Is(err, unix.EINTR) || err == nil && !status.Stopped() && thread != tr.pid {
			continue // interrupted, or another thread has ended
		}
		return thread, status, err
	}
}

// stopped handles a stop of a thread, and returns the signal with which the thread is to continue;
// zero for none.
func (tr *tracer) stopped(thread int, by syscall.Signal) int {
	const systemCall = syscall.SIGTRAP | 0x80
	begins := !tr.known[thread]
	tr.known[thread] = true
	switch {
	case by == systemCall:
		tr.systemCall(thread)
		return 0
	case by == syscall.SIGTRAP, by == syscall.SIGSTOP && begins: // started a thread, or is a new one
		return 0
	}
	return int(by)
}

// syscallInfo is the kernel's struct ptrace_syscall_info.
type syscallInfo struct {
	op       uint8
	_        [3]uint8
	_        uint32
	_        [2]uint64
	nr       uint64 // at an exit, the result
	args     [6]uint64
	reserved [4]uint64
}

// failed reports, at the exit of a system call, whether the call failed. A connection in progress
// has not.
func (i *syscallInfo) failed() bool {
	result := int64(i.nr)
	return result < 0 && result != -int64(unix.EINPROGRESS)
}

func (tr *tracer) systemCall(thread int) {
	var info syscallInfo
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(thread),
		unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	switch {
	case errno != 0: // killed
	case info.op == unix.PTRACE_SYSCALL_INFO_ENTRY:
		tr.entry(thread, &info)
	case info.op == unix.PTRACE_SYSCALL_INFO_EXIT:
		tr.exit(thread, &info)
	}
}
