package kactustest

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

// A Process is a kactus that runs in the background, with nothing in its environment but what the
// test gives it.
type Process struct {
	Cmd            *exec.Cmd
	Stdout, Stderr bytes.Buffer
	// Exited is closed when the process has ended.
	Exited chan struct{}
}

// Start starts an operation. If the test ends first, the process is killed.
func (p *Pod) Start(t *testing.T, operation string, conf any, c Call) *Process {
	t.Helper()
	return StartWith(t, Encode(t, conf), p.Environ(operation, c)...)
}

// StartWith starts kactus with that stdin and environment.
func StartWith(t *testing.T, stdin []byte, env ...string) *Process {
	t.Helper()
	return StartCommand(t, Command(stdin, env...))
}

// Command returns the command of a kactus with that stdin, and with no other environment than env
// and PATH.
func Command(stdin []byte, env ...string) *exec.Cmd {
	cmd := exec.Command(KactusPath())
	cmd.Stdin = bytes.NewReader(stdin)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	return cmd
}

// StartCommand starts cmd. Its stdout is kept unless cmd sends it elsewhere.
func StartCommand(t *testing.T, cmd *exec.Cmd) *Process {
	t.Helper()
	r := &Process{Cmd: cmd, Exited: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = &r.Stdout
	}
	cmd.Stderr = &r.Stderr
	Must(t, cmd.Start())
	go func() {
		_ = cmd.Wait() // the process's state has the exit status
		close(r.Exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // may have ended
		<-r.Exited
	})
	return r
}

// Signal sends a signal to the process.
func (r *Process) Signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	Must(t, r.Cmd.Process.Signal(s))
}

// Wait waits until the process ends. The error is the CNI error that it printed.
func (r *Process) Wait(t *testing.T) (stdout []byte, err error) {
	t.Helper()
	<-r.Exited
	if r.Cmd.ProcessState.Success() {
		return r.Stdout.Bytes(), nil
	}
	var e types.Error
	if json.Unmarshal(r.Stdout.Bytes(), &e) != nil || e.Code == 0 {
		t.Fatalf("kactus ended with %v and printed %q and %q; want a CNI error",
			r.Cmd.ProcessState, r.Stdout.Bytes(), r.Stderr.Bytes())
	}
	return nil, &e
}

// Ended reports whether the process has ended, without waiting.
func (r *Process) Ended() bool {
	select {
	case <-r.Exited:
		return true
	default:
		return false
	}
}

// AwaitLock waits until the process has opened the lock file. If another process holds the lock of
// the container, this one now waits for it.
func (r *Process) AwaitLock(t *testing.T) {
	t.Helper()
	Eventually(t, "kactus opens the lock file", func() bool { return hasLockFile(r.Cmd.Process.Pid) })
}

// lockDir holds the file that has the locks of all containers. Nothing but kactus and its delegates
// opens that file.
const lockDir = "/run/kactus"

// hasLockFile reports whether a process has the lock file open.
func hasLockFile(pid int) bool {
	fds := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	files, _ := os.ReadDir(fds)
	for _, f := range files {
		if target, _ := os.Readlink(filepath.Join(fds, f.Name())); target == filepath.Join(lockDir, "lock") {
			return true
		}
	}
	return false
}

// Working returns the IDs of the processes that work for the Pod's container: kactus, and delegates
// that may have outlived it.
func (p *Pod) Working() []int {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var pids []int
	for _, dir := range dirs {
		environ, _ := os.ReadFile(filepath.Join(dir, "environ"))
		if strings.Contains(string(environ), "CNI_CONTAINERID="+p.ID+"\x00") {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			pids = append(pids, pid)
		}
	}
	return pids
}

// Locked reports whether an operation holds the lock of the Pod's container: kactus, or a delegate,
// which inherits the lock. The kernel is asked, because a process that executes another program has
// no environment for a moment.
func (p *Pod) Locked() bool { return ledger.At(p.Conf.CNIDir, lockDir).Busy(p.ID) }

// MemoryLimit is the limit on the memory that kactus needs, in MiB.
const MemoryLimit = 64

var highWater = regexp.MustCompile(`VmHWM:\s*(\d+) kB`)

// Peak waits until the process ends and returns its peak memory in MiB. The kernel's resource usage
// of a process that has ended would include what its parent held when it was forked.
func (r *Process) Peak() int {
	peak := 0
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for !r.Ended() {
		<-ticker.C
		peak = max(peak, r.PeakSoFar())
	}
	return peak
}

// PeakSoFar returns the peak memory of the running process in MiB; zero if it has ended.
func (r *Process) PeakSoFar() int {
	data, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(r.Cmd.Process.Pid), "status"))
	m := highWater.FindSubmatch(data)
	if m == nil {
		return 0
	}
	kib, _ := strconv.Atoi(string(m[1]))
	return kib >> 10
}

// Subcommand runs a subcommand of kactus on the tenant's ledger, and returns what it prints on
// stdout and its exit code.
func (tn *Tenant) Subcommand(t *testing.T, args ...string) (stdout string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), KactusPath(), append(args, "-cni-dir", tn.Conf.CNIDir)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "CNI_PATH=" + strings.Join(tn.Path, ":")}
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	t.Logf("kactus %s\n%s%s", strings.Join(args, " "), &out, &stderr)
	return out.String(), cmd.ProcessState.ExitCode()
}
