package faults

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// boundary is of a system call of kactus's that changes something outside of its memory: the nth of its kind, by whichever thread, before it takes
// effect, or after it did.
type boundary struct {
	kind  string
	after bool
	nth   int // from 1
}

func (b boundary) String() string {
	when := "before"
	if b.after {
		when = "after"
	}
	return fmt.Sprintf("%s %s %d", when, b.kind, b.nth)
}

// ofKind is that without its number.
func (b boundary) ofKind() boundary { return boundary{kind: b.kind, after: b.after} }

// follow runs cmd, and calls visit at each boundary, while the thread that came to it is held, until the process has ended, of which it tells whether it
// was well. What cmd starts is not followed.
func follow(t *testing.T, cmd *exec.Cmd, visit func(boundary)) (succeeded bool) {
	t.Helper()
	runtime.LockOSThread() // the kernel knows the tracer by its thread
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tr := tracer{pid: cmd.Process.Pid, visit: visit, entered: map[int]string{}, seen: map[boundary]int{}}
	status, err := tr.run()
	if err != nil {
		_ = cmd.Process.Kill()
		t.Errorf("follow the system calls of kactus: %v", err)
	}
	_ = cmd.Wait() // the tracer has seen it end; this is for what else the command holds
	return status.Exited() && status.ExitStatus() == 0
}

// tracer follows the threads of one process.
type tracer struct {
	pid   int
	visit func(boundary)
	// entered has each thread that was seen, with the kind of the system call that it is in; empty where that changes nothing.
	entered map[int]string
	seen    map[boundary]int
}

// run gives the status with which the process ended.
func (tr *tracer) run() (unix.WaitStatus, error) {
	var status unix.WaitStatus
	if _, err := unix.Wait4(tr.pid, &status, unix.WALL, nil); err != nil { // the end of its exec
		return 0, err
	}
	tr.entered[tr.pid] = ""
	if err := unix.PtraceSetOptions(tr.pid, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_TRACECLONE|unix.PTRACE_O_EXITKILL); err != nil {
		return 0, err
	}
	thread, signal := tr.pid, 0
	for {
		if err := unix.PtraceSyscall(thread, signal); err != nil && !errors.Is(err, unix.ESRCH) { // it was killed
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

// await is until a thread stops, or the process has ended. The process is alone in its group, but for a child that is about to leave it.
func (tr *tracer) await() (thread int, status unix.WaitStatus, err error) {
	for {
		thread, err = unix.Wait4(-tr.pid, &status, unix.WALL|unix.WNOTHREAD, nil)
		if errors.Is(err, unix.EINTR) || err == nil && !status.Stopped() && thread != tr.pid {
			continue
		}
		return thread, status, err
	}
}

// stopped gives the signal that the thread is to go on with; zero: none.
func (tr *tracer) stopped(thread int, by syscall.Signal) int {
	const systemCall = syscall.SIGTRAP | 0x80
	_, known := tr.entered[thread]
	if !known {
		tr.entered[thread] = ""
	}
	switch {
	case by == systemCall:
		tr.systemCall(thread)
		return 0
	case by == syscall.SIGTRAP, by == syscall.SIGSTOP && !known: // it has started a thread, or is one that begins
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
	nr       uint64 // of an exit: the result
	args     [6]uint64
	reserved [4]uint64
}

// failed says whether the system call of which this is the exit did. A connection that is under way was begun.
func (i *syscallInfo) failed() bool {
	result := int64(i.nr)
	return result < 0 && result != -int64(unix.EINPROGRESS)
}

func (tr *tracer) systemCall(thread int) {
	var info syscallInfo
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(thread), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	switch {
	case errno != 0: // it was killed
	case info.op == unix.PTRACE_SYSCALL_INFO_ENTRY:
		tr.entered[thread] = tr.kind(&info)
		tr.pass(boundary{kind: tr.entered[thread]})
	case info.op == unix.PTRACE_SYSCALL_INFO_EXIT && !info.failed():
		tr.pass(boundary{kind: tr.entered[thread], after: true})
	}
}

func (tr *tracer) pass(b boundary) {
	if b.kind == "" {
		return
	}
	tr.seen[b]++
	b.nth = tr.seen[b]
	tr.visit(b)
}

// changing are the system calls that change something.
var changing = map[uint64]string{
	unix.SYS_OPENAT: "openat", unix.SYS_WRITE: "write", unix.SYS_PWRITE64: "write", unix.SYS_WRITEV: "write", unix.SYS_FTRUNCATE: "ftruncate",
	unix.SYS_RENAMEAT: "rename", unix.SYS_RENAMEAT2: "rename", unix.SYS_LINKAT: "link", unix.SYS_SYMLINKAT: "symlink", unix.SYS_UNLINKAT: "unlink",
	unix.SYS_MKDIRAT: "mkdir", unix.SYS_FSYNC: "fsync", unix.SYS_FDATASYNC: "fsync", unix.SYS_FCHMOD: "chmod", unix.SYS_FCHMODAT: "chmod",
	unix.SYS_FLOCK: "flock", unix.SYS_CLONE: "clone", unix.SYS_CLONE3: "clone", unix.SYS_CONNECT: "connect", unix.SYS_SENDTO: "send",
	unix.SYS_SENDMSG: "send", unix.SYS_KILL: "kill", unix.SYS_PIDFD_OPEN: "pidfd", unix.SYS_PIDFD_SEND_SIGNAL: "pidfd", unix.SYS_WAITID: "wait",
	unix.SYS_WAIT4: "wait", unix.SYS_SETNS: "setns", unix.SYS_EXIT_GROUP: "exit",
}

// kind is that of a system call which begins; empty where it changes nothing.
func (tr *tracer) kind(info *syscallInfo) string {
	kind := changing[info.nr]
	switch {
	case kind == "openat" && info.args[2]&unix.O_CREAT == 0:
		return ""
	case kind == "clone" && info.nr == unix.SYS_CLONE && info.args[0]&unix.CLONE_THREAD != 0:
		return ""
	case kind == "write":
		return tr.writeTo(info.args[0])
	}
	return kind
}

// writeTo tells apart what is written to. What Go's runtime tells itself by an eventfd changes nothing.
func (tr *tracer) writeTo(fd uint64) string {
	target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", tr.pid, fd))
	switch what, _, _ := strings.Cut(target, ":"); what {
	case "pipe", "socket":
		return "write to a " + what
	case "anon_inode":
		return ""
	}
	return "write to a file"
}
