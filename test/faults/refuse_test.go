package faults

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// refuse runs cmd, and asks decide of each of its system calls that writes something below the folder dir, by whichever thread. One for which that is
// not zero fails so, and does nothing. What cmd starts is not asked for.
func refuse(t *testing.T, cmd *exec.Cmd, dir string, decide func(call string) syscall.Errno) {
	t.Helper()
	runtime.LockOSThread() // the kernel knows the tracer by its thread
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := refuser{pid: cmd.Process.Pid, dir: dir, decide: decide, refused: map[int]syscall.Errno{}, known: map[int]bool{}}
	if err := r.run(); err != nil {
		_ = cmd.Process.Kill()
		t.Errorf("refuse system calls of kactus: %v", err)
	}
	_ = cmd.Wait() // the process is gone already; this is for what else the command holds
}

type refuser struct {
	pid    int
	dir    string
	decide func(call string) syscall.Errno
	// refused are threads in a system call that is to fail.
	refused map[int]syscall.Errno
	known   map[int]bool
}

// run is until the process has ended.
func (r *refuser) run() error {
	var status unix.WaitStatus
	if _, err := unix.Wait4(r.pid, &status, unix.WALL, nil); err != nil { // the end of its exec
		return err
	}
	if err := unix.PtraceSetOptions(r.pid, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_TRACECLONE|unix.PTRACE_O_EXITKILL); err != nil {
		return err
	}
	r.known[r.pid] = true
	thread, signal := r.pid, 0
	for {
		if err := unix.PtraceSyscall(thread, signal); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
		var err error
		for thread, err = 0, nil; thread == 0; {
			thread, err = unix.Wait4(-r.pid, &status, unix.WALL|unix.WNOTHREAD, nil) // its group has no other process
			if errors.Is(err, unix.EINTR) || err == nil && !status.Stopped() && thread != r.pid {
				thread = 0 // a thread has ended
			} else if err != nil || !status.Stopped() {
				return err
			}
		}
		signal = r.stopped(thread, status.StopSignal())
	}
}

// stopped gives the signal that the thread is to go on with; zero: none.
func (r *refuser) stopped(thread int, by syscall.Signal) int {
	const systemCall = syscall.SIGTRAP | 0x80
	begins := !r.known[thread]
	r.known[thread] = true
	switch {
	case by == systemCall:
		r.systemCall(thread)
		return 0
	case by == syscall.SIGTRAP, by == syscall.SIGSTOP && begins:
		return 0
	}
	return int(by)
}

// systemCallInfo is the kernel's struct ptrace_syscall_info, of a system call that begins.
type systemCallInfo struct {
	op   uint8
	_    [23]uint8
	nr   uint64
	args [6]uint64
	_    [4]uint64
}

func (r *refuser) systemCall(thread int) {
	var info systemCallInfo
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(thread), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno != 0 { // it was killed
		return
	}
	if info.op == unix.PTRACE_SYSCALL_INFO_ENTRY {
		if call := r.onFile(&info); call != "" {
			if errno := r.decide(call); errno != 0 {
				r.refused[thread] = errno
				setRegisters(thread, func(regs *unix.PtraceRegs) { regs.Orig_rax = ^uint64(0) }) // no system call has that number
			}
		}
		return
	}
	if errno, ok := r.refused[thread]; ok {
		delete(r.refused, thread)
		setRegisters(thread, func(regs *unix.PtraceRegs) { regs.Rax = uint64(-int64(errno)) })
	}
}

func setRegisters(thread int, change func(*unix.PtraceRegs)) {
	var regs unix.PtraceRegs
	if err := unix.PtraceGetRegs(thread, &regs); err == nil {
		change(&regs)
		_ = unix.PtraceSetRegs(thread, &regs)
	}
}

// onFile says what a system call does to which file below the folder, such as "fsync c1.tmp"; empty where it writes none.
func (r *refuser) onFile(info *systemCallInfo) string {
	var path, what string
	switch info.nr {
	case unix.SYS_OPENAT:
		if info.args[2]&unix.O_CREAT != 0 {
			what, path = "create", r.text(info.args[1])
		}
	case unix.SYS_MKDIRAT:
		what, path = "mkdir", r.text(info.args[1])
	case unix.SYS_UNLINKAT:
		what, path = "unlink", r.text(info.args[1])
	case unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2:
		what, path = "rename", r.text(info.args[1])
	case unix.SYS_WRITE, unix.SYS_PWRITE64, unix.SYS_WRITEV:
		what, path = "write", r.file(info.args[0])
	case unix.SYS_FSYNC, unix.SYS_FDATASYNC:
		what, path = "fsync", r.file(info.args[0])
	}
	if name, err := filepath.Rel(r.dir, path); err == nil && what != "" && path != "" && !strings.HasPrefix(name, "..") {
		return what + " " + name
	}
	return ""
}

// file is the path of an open file.
func (r *refuser) file(fd uint64) string {
	path, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", r.pid, fd))
	return path
}

// text is the string at that address.
func (r *refuser) text(at uint64) string {
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", r.pid))
	if err != nil {
		return ""
	}
	defer memory.Close()
	buffer := make([]byte, unix.PathMax)
	n, _ := memory.ReadAt(buffer, int64(at)) // it may end before
	text, _, _ := bytes.Cut(buffer[:n], []byte{0})
	return string(text)
}
