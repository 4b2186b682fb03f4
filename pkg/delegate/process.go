package delegate

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"
)

const (
	// maxStdout is the longest result that is read, in bytes.
	maxStdout = 1 << 20
	// maxObjects is how many interfaces, addresses, routes and so on a result may have together: two bytes of JSON become a hundred in memory.
	maxObjects = 4096
	// maxStderr is how much of a plugin's stderr an error quotes, and of its message and its details, in bytes.
	maxStderr = 4 << 10
	// defaultGrace is how long a plugin has from SIGTERM to SIGKILL, and how long a process that it left behind can keep its
	// stdout open. At a STATUS, for which runtimes wait one second, it is statusGrace.
	defaultGrace = 2 * time.Second
	statusGrace  = 150 * time.Millisecond
)

// process runs a plugin as a process; it implements invoke.Exec. Unlike the CNI library's it puts
// the plugin in a process group of its own, ends that whole group, bounds what it reads, keeps stderr apart from the message, and passes a
// descriptor on.
type process struct {
	version.PluginDecoder
	timeout, grace time.Duration
	inherit        *os.File
	room           *Room
	// result says that what the plugin prints is one, and is kept.
	result bool
	// bound says that the plugin is killed when kactus dies, where otherwise it goes on, with the lock that it inherits.
	bound bool
}

var _ invoke.Exec = (*process)(nil)

func (r Runner) process(verb string) *process {
	return &process{
		timeout: r.Timeout,
		grace:   cmp.Or(r.grace, defaultGrace),
		inherit: r.Inherit,
		room:    r.Room,
		result:  verb == "ADD",
		bound:   verb == "GC" || verb == "STATUS",
	}
}

// FindInPath implements invoke.Exec.
func (p *process) FindInPath(plugin string, paths []string) (string, error) {
	return invoke.FindInPath(plugin, paths)
}

// ExecPlugin implements invoke.Exec. When ctx or the timeout ends, the plugin gets SIGTERM, then SIGKILL.
// The error is an *exit where the plugin ran.
func (p *process) ExecPlugin(ctx context.Context, path string, stdin []byte, environ []string) ([]byte, error) {
	if p.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, p.timeout, fmt.Errorf("it did not end within %s", p.timeout))
		defer cancel()
	}
	const tries, pause = 20, 100 * time.Millisecond
	for try := 1; ; try++ {
		stdout, err := p.run(ctx, path, stdin, environ)
		// Somebody is about to install the plugin.
		if !errors.Is(err, syscall.ETXTBSY) || try == tries {
			return stdout, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, err
		}
	}
}

func (p *process) run(ctx context.Context, path string, stdin []byte, environ []string) (_ []byte, err error) {
	stdout, stderr := capped{max: maxStdout, room: p.room}, capped{max: maxStderr}
	defer func() {
		if err != nil || !p.result {
			p.room.leave(len(stdout.data))
		}
	}()
	cmd := exec.CommandContext(ctx, path)
	cmd.Env = environ
	cmd.Stdin = bytes.NewReader(stdin)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if p.inherit != nil {
		cmd.ExtraFiles = []*os.File{p.inherit}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.bound {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = p.grace
	err = cmd.Run()
	if ctx.Err() != nil && cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what SIGTERM did not end, and what the plugin started
		err = fmt.Errorf("it was ended: %w", context.Cause(ctx))
	}
	switch {
	case cmd.Process == nil && (errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENOEXEC) || errors.Is(err, syscall.ENOENT)):
		return nil, &unrunnable{err}
	case errors.Is(err, exec.ErrWaitDelay): // it ended well; a process that it left behind has its stdout
	case err != nil:
		return nil, newExit(err, stdout, stderr)
	}
	if stdout.over {
		return nil, newExit(fmt.Errorf("it printed more than %d bytes, or all plugins together more than %d", maxStdout, maxOutput), capped{}, stderr)
	}
	if bytes.Count(stdout.data, []byte("{")) > maxObjects {
		return nil, newExit(fmt.Errorf("what it printed has more than %d objects", maxObjects), capped{}, stderr)
	}
	return stdout.data, nil
}

// exit is how a plugin failed.
type exit struct {
	cause error
	// said is the plugin's own CNI error; its Code is zero where it printed none.
	said   types.Error
	stderr string
}

func newExit(cause error, stdout, stderr capped) *exit {
	e := &exit{cause: cause, stderr: stderr.String()}
	if err := json.Unmarshal(stdout.data, &e.said); err != nil || e.said.Msg == "" && e.said.Code == 0 {
		e.said = types.Error{}
		if len(stdout.data) > 0 {
			const quoted = 256
			e.cause = fmt.Errorf("%w, and printed what is not a CNI error: %q", cause, stdout.data[:min(quoted, len(stdout.data))])
		}
	}
	e.said.Msg, e.said.Details = cut(e.said.Msg), cut(e.said.Details)
	return e
}

// cut keeps of a plugin's words what an error quotes.
func cut(words string) string { return words[:min(maxStderr, len(words))] }

func (e *exit) Error() string {
	if e.said.Msg != "" {
		return e.said.Msg
	}
	return e.cause.Error()
}

func (e *exit) Unwrap() error { return e.cause }

// capped keeps the first max bytes written to it, as far as there is room for them, and swallows the rest, so that the writer does not block.
type capped struct {
	max  int
	room *Room
	data []byte
	over bool
}

func (c *capped) Write(p []byte) (int, error) {
	kept := p[:c.room.take(min(c.max-len(c.data), len(p)))]
	c.data = append(c.data, kept...)
	c.over = c.over || len(kept) < len(p)
	return len(p), nil
}

func (c *capped) String() string { return strings.TrimSpace(string(c.data)) }
