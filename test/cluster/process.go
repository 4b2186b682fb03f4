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
)

const (
	// pollInterval is how often a condition that nothing announces is looked at.
	pollInterval = 50 * time.Millisecond
	// stopGrace is how long a process may take to end by itself.
	stopGrace = 10 * time.Second
)

// process is a program of the control plane that runs.
type process struct {
	name   string
	log    string
	pid    int
	handle *os.Process
	exited chan struct{}
	err    error // how it ended; valid once exited is closed
}

// program says what to start, and how.
type program struct {
	binary   string // absolute
	args     []string
	env      []string // beside the caller's
	log      string   // the file at whose end the output goes
	detached bool     // it gets a session of its own and outlives this process; any other dies with it, however this process ends
	// enter, if not nil, is called on the thread that starts the program, and may change
	// that thread's namespaces.
	enter      func() error
	namespaces uintptr    // CLONE_NEW* flags: those that the program gets of its own
	stdin      *os.File   // nil means nothing to read
	files      []*os.File // its descriptors from 3 on
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
	go p.run(prog, output, started)
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
	cmd.Dir = "/" // the caller's may go while a detached process stays
	cmd.Env = append(cmd.Environ(), prog.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: prog.namespaces}
	if prog.detached {
		cmd.SysProcAttr.Setsid = true
		return cmd
	}
	// A group of its own, so that an interrupt from the terminal leaves the order in
	// which things stop to Stop.
	cmd.SysProcAttr.Setpgid = true
	if prog.enter == nil {
		// Else it dies with the host. It could not tell that its parent lives, which is
		// out of its sight, and would end itself at once.
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	return cmd
}

// run starts the program and waits for its end, all on one thread: the kernel sends
// the signal of Pdeathsig when the thread that started the process ends, and Go ends
// threads as it likes unless a goroutine holds them. A thread that entered namespaces is
// never given back, and so ends with the goroutine.
func (p *process) run(prog program, output *os.File, started chan<- error) {
	runtime.LockOSThread()
	if prog.enter == nil {
		defer runtime.UnlockOSThread()
	} else if err := prog.enter(); err != nil {
		started <- err
		return
	}
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

// await polls ready until it succeeds. It fails as soon as the process ends, and when
// ctx does; the error then quotes the log.
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
			return fmt.Errorf("%s ended before it was ready: %w; its log %s ends with:\n%s", p.name, p.end(), p.log, tailOf(p.log))
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s to be ready: %w (last: %w); its log %s ends with:\n%s", p.name, ctx.Err(), notReady, p.log, tailOf(p.log))
		case <-poll.C:
		}
	}
}

var errExitedWell = errors.New("exit status 0")

// end is how the process ended, which was not asked for and so is an error in any case.
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

// stop ends the process: politely first, then not. It returns once the process is
// gone, and succeeds for one that had ended before.
func (p *process) stop() error { return p.stopBy(syscall.SIGTERM, syscall.SIGKILL) }

// kill ends the process without giving it time for anything, as a crash does.
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
	return fmt.Errorf("%s (process %d) survives SIGKILL", p.name, p.pid)
}

// tailOf returns the last lines of a log, or why it cannot be read: it is for the
// text of errors.
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
