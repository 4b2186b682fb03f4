package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

const (
	// pollInterval is how often a condition is checked that has no notification.
	pollInterval = 50 * time.Millisecond
	// stopGrace is how long a process may take to end after a signal.
	stopGrace = 10 * time.Second
)

// process is a running program of a cluster.
type process struct {
	name   string
	log    string
	pid    int
	handle *os.Process
	exited chan struct{}
	err    error // how the process ended; valid once exited is closed
}

// program describes a program to start.
type program struct {
	binary   string // absolute
	args     []string
	env      []string // in addition to this process's
	log      string   // the file that output is appended to
	detached bool     // run in a session of its own and outlive this process; otherwise die with it
	// enter, if not nil, is called on the thread that starts the program. It may change the
	// thread's namespaces.
	enter      func() error
	namespaces uintptr    // CLONE_NEW* flags for new namespaces
	stdin      *os.File   // nil means /dev/null
	files      []*os.File // the descriptors from 3 on
}

// startProcess starts a program.
func startProcess(prog program) (*process, error) {
	output, err := os.OpenFile(prog.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", prog.binary, err)
	}
	defer output.Close()
	p := &process{name: filepath.Base(prog.binary), log: prog.log, exited: make(chan struct{})}
	started := make(chan error)
	if prog.enter == nil {
		go p.run(prog, output, started)
	} else {
		go node.OnOwnThread(func() error { return p.enterAndRun(prog, output, started) })
	}
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.name, err)
	}
	return p, nil
}

func (prog program) command(output *os.File) *exec.Cmd {
	cmd := exec.Command(prog.binary, prog.args...)
	cmd.Stdout, cmd.Stderr = output, output
	if prog.stdin != nil {
		cmd.Stdin = prog.stdin
	}
	cmd.ExtraFiles = prog.files
	cmd.Dir = "/" // this process's directory may be removed while a detached process runs
	cmd.Env = append(cmd.Environ(), prog.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: prog.namespaces}
	if prog.detached {
		cmd.SysProcAttr.Setsid = true
		return cmd
	}
	// A separate process group: an interrupt from the terminal must not bypass Stop, which ends the
	// processes in order.
	cmd.SysProcAttr.Setpgid = true
	if prog.enter == nil {
		// A process in a host ends with the host instead. Its parent is outside its PID namespace,
		// which the Go runtime would take for a parent that has died.
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	return cmd
}

// enterAndRun runs the program on this thread, after it has entered the namespaces.
func (p *process) enterAndRun(prog program, output *os.File, started chan<- error) error {
	err := prog.enter()
	if err != nil {
		started <- err
		return err
	}
	p.run(prog, output, started)
	return nil
}

// run starts the program and waits for its end, all on one thread: the kernel sends the Pdeathsig
// signal when the thread that started the process ends, and the Go runtime may end any thread that
// no goroutine is locked to.
func (p *process) run(prog program, output *os.File, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := prog.command(output)
	err := cmd.Start()
	if err == nil {
		p.pid, p.handle = cmd.Process.Pid, cmd.Process
	}
	started <- err
	if err != nil {
		return
	}
	p.err = cmd.Wait()
	close(p.exited)
}

// await calls ready until it succeeds. It fails when the process or ctx ends; the error then quotes
// the log.
func (p *process) await(ctx context.Context, ready func(context.Context) error) error {
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		notReady := ready(ctx)
		if notReady == nil {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("waiting for %s to be ready: ended: %w; the log %s ends with:\n%s", p.name, p.end(),
				p.log, tailOf(p.log))
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s to be ready: %w (last: %w); the log %s ends with:\n%s", p.name, ctx.Err(),
				notReady, p.log, tailOf(p.log))
		case <-poll.C:
		}
	}
}

var errExitedWell = errors.New("exit status 0")

// end returns how the process ended. It never returns nil, because the process was not supposed to
// end.
func (p *process) end() error {
	if p.err == nil {
		return errExitedWell
	}
	return p.err
}

func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// stop ends the process, with SIGTERM and then with SIGKILL. It returns once the process has ended,
// and succeeds if that had ended before.
func (p *process) stop() error { return p.stopBy(syscall.SIGTERM, syscall.SIGKILL) }

// kill ends the process at once, as a crash would.
func (p *process) kill() error { return p.stopBy(syscall.SIGKILL) }

func (p *process) stopBy(signals ...os.Signal) error {
	if p == nil {
		return nil
	}
	for _, signal := range signals {
		if err := p.handle.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("sending %v to %s (process %d): %w", signal, p.name, p.pid, err)
		}
		select {
		case <-p.exited:
			return nil
		case <-time.After(stopGrace):
		}
	}
	return fmt.Errorf("stopping %s (process %d): still running after SIGKILL", p.name, p.pid)
}

// tailOf returns the last lines of a log, or the error of reading it. The result is for the text of
// errors.
func tailOf(log string) string {
	file, err := os.Open(log)
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	const most = 16 << 10
	if info, err := file.Stat(); err == nil && info.Size() > most {
		if _, err := file.Seek(-most, io.SeekEnd); err != nil {
			return err.Error()
		}
	}
	text, err := io.ReadAll(io.LimitReader(file, most))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(bytes.TrimSpace(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}
