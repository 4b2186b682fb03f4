package faults

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A boundary is a moment before or after a system call of kactus that changes something outside of
// its memory.
type boundary struct {
	kind  string
	after bool
	nth   int // of the system calls of that kind, from 1
}

func (b boundary) String() string {
	when := "before"
	if b.after {
		when = "after"
	}
	return fmt.Sprintf("%s %s %d", when, b.kind, b.nth)
}

// ofKind returns the boundary without its number.
func (b boundary) ofKind() boundary { return boundary{kind: b.kind, after: b.after} }

// follow runs cmd to its end and calls visit at each boundary, while the thread that reached it is
// stopped. It reports whether cmd succeeded.
func follow(t *testing.T, cmd *exec.Cmd, visit func(boundary)) (succeeded bool) {
	t.Helper()
	inside := map[int]string{} // the kind of the system call that each thread is in
	seen := map[boundary]int{}
	pass := func(b boundary) {
		if b.kind == "" {
			return
		}
		seen[b]++
		b.nth = seen[b]
		visit(b)
	}
	tr := tracer{}
	tr.entry = func(thread int, info *syscallInfo) {
		inside[thread] = kindOf(tr.pid, info)
		pass(boundary{kind: inside[thread]})
	}
	tr.exit = func(thread int, info *syscallInfo) {
		if !info.failed() {
			pass(boundary{kind: inside[thread], after: true})
		}
	}
	return tr.trace(t, cmd)
}

// changing holds the kinds of the system calls that change something.
var changing = map[uint64]string{
	unix.SYS_OPENAT: "openat", unix.SYS_WRITE: "write", unix.SYS_PWRITE64: "write", unix.SYS_WRITEV: "write",
	unix.SYS_FTRUNCATE: "ftruncate",
	unix.SYS_RENAMEAT:  "rename", unix.SYS_RENAMEAT2: "rename", unix.SYS_LINKAT: "link", unix.SYS_SYMLINKAT: "symlink",
	unix.SYS_UNLINKAT: "unlink",
	unix.SYS_MKDIRAT:  "mkdir", unix.SYS_FSYNC: "fsync", unix.SYS_FDATASYNC: "fsync", unix.SYS_FCHMOD: "chmod",
	unix.SYS_FCHMODAT: "chmod",
	unix.SYS_FLOCK:    "lock", unix.SYS_FCNTL: "lock", unix.SYS_CLONE: "clone", unix.SYS_CLONE3: "clone",
	unix.SYS_CONNECT: "connect", unix.SYS_SENDTO: "send",
	unix.SYS_SENDMSG: "send", unix.SYS_KILL: "kill", unix.SYS_PIDFD_OPEN: "pidfd", unix.SYS_PIDFD_SEND_SIGNAL: "pidfd",
	unix.SYS_WAITID: "wait",
	unix.SYS_WAIT4:  "wait", unix.SYS_SETNS: "setns", unix.SYS_EXIT_GROUP: "exit",
}

// kindOf returns the kind of a system call that begins; empty if it changes nothing.
func kindOf(pid int, info *syscallInfo) string {
	kind := changing[info.nr]
	switch {
	case kind == "openat" && info.args[2]&unix.O_CREAT == 0:
		return ""
	case kind == "clone" && info.nr == unix.SYS_CLONE && info.args[0]&unix.CLONE_THREAD != 0:
		return ""
	case info.nr == unix.SYS_FCNTL && info.args[1] != unix.F_OFD_SETLK && info.args[1] != unix.F_OFD_SETLKW:
		return ""
	case kind == "write":
		return kindOfWrite(pid, info.args[0])
	}
	return kind
}

// kindOfWrite distinguishes writes by their target. What Go's runtime writes to its own eventfd
// changes nothing.
func kindOfWrite(pid int, fd uint64) string {
	target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd))
	switch what, _, _ := strings.Cut(target, ":"); what {
	case "pipe", "socket":
		return "write to a " + what
	case "anon_inode":
		return ""
	}
	return "write to a file"
}
