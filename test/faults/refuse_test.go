package faults

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// refuse runs cmd to its end and calls decide for each of its system calls that writes something
// below the directory dir, such as "fsync c1.tmp". If decide returns an error number, the system
// call fails with it and does nothing.
func refuse(t *testing.T, cmd *exec.Cmd, dir string, decide func(call string) syscall.Errno) {
	t.Helper()
	refused := map[int]syscall.Errno{} // by the thread that is in the system call
	tr := tracer{}
	tr.entry = func(thread int, info *syscallInfo) {
		call := describeWrite(tr.pid, dir, info)
		if call == "" {
			return
		}
		if errno := decide(call); errno != 0 {
			refused[thread] = errno
			// No system call has that number.
			setRegisters(thread, func(regs *unix.PtraceRegs) { regs.Orig_rax = ^uint64(0) })
		}
	}
	tr.exit = func(thread int, _ *syscallInfo) {
		if errno, ok := refused[thread]; ok {
			delete(refused, thread)
			setRegisters(thread, func(regs *unix.PtraceRegs) { regs.Rax = uint64(-int64(errno)) })
		}
	}
	tr.trace(t, cmd)
}

func setRegisters(thread int, change func(*unix.PtraceRegs)) {
	var regs unix.PtraceRegs
	if err := unix.PtraceGetRegs(thread, &regs); err == nil {
		change(&regs)
		_ = unix.PtraceSetRegs(thread, &regs)
	}
}

// describeWrite returns what a system call of the process does to which file below dir; empty if it
// writes none.
func describeWrite(pid int, dir string, info *syscallInfo) string {
	var path, what string
	switch info.nr {
	case unix.SYS_OPENAT:
		if info.args[2]&unix.O_CREAT != 0 {
			what, path = "create", readString(pid, info.args[1])
		}
	case unix.SYS_MKDIRAT:
		what, path = "mkdir", readString(pid, info.args[1])
	case unix.SYS_UNLINKAT:
		what, path = "unlink", readString(pid, info.args[1])
	case unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2:
		what, path = "rename", readString(pid, info.args[1])
	case unix.SYS_WRITE, unix.SYS_PWRITE64, unix.SYS_WRITEV:
		what, path = "write", openFile(pid, info.args[0])
	case unix.SYS_FSYNC, unix.SYS_FDATASYNC:
		what, path = "fsync", openFile(pid, info.args[0])
	}
	if name, err := filepath.Rel(dir, path); err == nil && what != "" && path != "" && !strings.HasPrefix(name, "..") {
		return what + " " + name
	}
	return ""
}

// openFile returns the path of an open file of the process.
func openFile(pid int, fd uint64) string {
	path, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd))
	return path
}

// readString returns the string at that address in the process's memory.
func readString(pid int, address uint64) string {
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return ""
	}
	defer memory.Close()
	buffer := make([]byte, unix.PathMax)
	n, _ := memory.ReadAt(buffer, int64(address)) // the mapping may end before
	s, _, _ := bytes.Cut(buffer[:n], []byte{0})
	return string(s)
}
