package delegate

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/budget"
)

const (
	// MaxOutput is how many bytes all plugins of an operation may print together: the limit of the
	// Budget that is given to a Runner.
	MaxOutput = 1 << 20
	// maxStdout is how many bytes one plugin may print.
	maxStdout = 1 << 20
	// maxObjects is how many JSON objects (interfaces, addresses, routes) one result may have: two
	// bytes of JSON become a hundred in memory.
	maxObjects = 4096
	// maxQuoted is how many bytes of a plugin's stderr, message and details an error quotes.
	maxQuoted = 4 << 10
	// defaultGrace is how long a plugin has to end by itself when kactus is told to end, how long
	// it has from SIGTERM to SIGKILL, and how long a process that it left behind can keep kactus
	// waiting by holding the plugin's stdout open. For a STATUS, which makes nothing that a plugin
	// would have to undo, it is statusGrace.
	defaultGrace = 2 * time.Second
	statusGrace  = 150 * time.Millisecond
	// crashGrace is how long the processes that a plugin started may go on after it was killed by
	// somebody else. Another one must not tear down meanwhile what they still make.
	crashGrace = 10 * time.Second
)

// process runs a plugin; it implements invoke.Exec. Unlike the one of the CNI library, it puts the
// plugin in a process group of its own, ends that whole group, bounds the output, keeps stderr
// apart from the message, and passes a descriptor on.
type process struct {
	version.PluginDecoder
	timeout, grace time.Duration
	inherit        *os.File
	output         *budget.Budget
	// keepOutput means that what the plugin prints is its result, which counts against the budget
	// until the operation ends.
	keepOutput bool
	// dieWithParent means that the plugin is killed when kactus dies. Others go on, with the lock
	// that they inherited.
	dieWithParent bool
}

var _ invoke.Exec = (*process)(nil)

func (r Runner) process(operation string) *process {
	return &process{
		timeout:       r.Timeout,
		grace:         cmp.Or(r.grace, defaultGrace),
		inherit:       r.Inherit,
		output:        r.Output,
		keepOutput:    operation == "ADD",
		dieWithParent: operation == "GC" || operation == "STATUS",
	}
}

// FindInPath implements invoke.Exec.
func (p *process) FindInPath(plugin string, paths []string) (string, error) {
	return invoke.FindInPath(plugin, paths)
}

// ExecPlugin implements invoke.Exec. When the lifetime of the plugin ends, it gets SIGTERM, then
// SIGKILL. The error is an *exitError if the plugin ran.
func (p *process) ExecPlugin(ctx context.Context, path string, stdin []byte, environ []string) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, newExitError(context.Cause(ctx), capped{}, capped{})
	}
	life, end := p.lifetime(ctx)
	defer end()
	const tries, pause = 20, 100 * time.Millisecond
	for try := 1; ; try++ {
		stdout, err := p.run(life, path, stdin, environ)
		// ETXTBSY means that the plugin is being installed.
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

// lifetime returns a context that ends at the plugin's timeout, when the time of the operation is
// over, and a grace period after kactus was told to end. A plugin that is killed between two of its
// steps can leave what no DEL finds, such as a lease that does not say yet whose it is. So one that
// is not late may first end by itself.
func (p *process) lifetime(ctx context.Context) (context.Context, context.CancelFunc) {
	life, end := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		grace := p.grace
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			grace = 0
		}
		time.AfterFunc(grace, func() { end(context.Cause(ctx)) })
	})
	cancel := context.CancelFunc(func() {})
	if p.timeout > 0 {
		life, cancel = context.WithTimeoutCause(life, p.timeout, fmt.Errorf("no end within %s", p.timeout))
	}
	return life, func() {
		stop()
		cancel()
		end(nil)
	}
}

func (p *process) run(ctx context.Context, path string, stdin []byte, environ []string) (_ []byte, err error) {
	stdout, stderr := capped{max: maxStdout, budget: p.output}, capped{max: maxQuoted}
	defer func() {
		if err != nil || !p.keepOutput {
			p.output.Return(len(stdout.data))
		}
	}()
	cmd := p.command(ctx, path, environ)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	err = cmd.Run()
	if ctx.Err() != nil && cmd.Process != nil {
		killGroup(cmd.Process.Pid, p.grace) // what ignored SIGTERM, and what the plugin started
		err = fmt.Errorf("the plugin was ended: %w", context.Cause(ctx))
	} else if wasKilled(cmd) && !awaitGroupEnd(cmd.Process.Pid, crashGrace) {
		killGroup(cmd.Process.Pid, p.grace)
	}
	switch {
	case cmd.Process == nil && cannotExecute(err):
		return nil, &notExecutable{err}
	case errors.Is(err, exec.ErrWaitDelay): // succeeded, and left a process behind that has its stdout
	case err != nil:
		return nil, newExitError(err, stdout, stderr)
	}
	if err := stdout.check(); err != nil {
		return nil, newExitError(err, capped{}, stderr)
	}
	return stdout.data, nil
}

// wasKilled reports whether a signal ended the plugin, as when the node is out of memory. Its IPAM
// plugin, which it started, may go on.
func wasKilled(cmd *exec.Cmd) bool {
	if cmd.ProcessState == nil {
		return false
	}
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled()
}

func (p *process) command(ctx context.Context, path string, environ []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path)
	cmd.Env = environ
	if p.inherit != nil {
		cmd.ExtraFiles = []*os.File{p.inherit}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.dieWithParent {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = p.grace
	return cmd
}

func cannotExecute(err error) bool {
	return errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENOEXEC) || errors.Is(err, syscall.ENOENT)
}

// capped keeps the first max bytes written to it, as far as the budget grants them, and discards
// the rest, so that the writer does not block.
type capped struct {
	max       int
	budget    *budget.Budget
	data      []byte
	truncated bool
}

func (c *capped) Write(p []byte) (int, error) {
	kept := p[:c.budget.Take(min(c.max-len(c.data), len(p)))]
	c.data = append(c.data, kept...)
	c.truncated = c.truncated || len(kept) < len(p)
	return len(p), nil
}

func (c *capped) String() string { return strings.TrimSpace(string(c.data)) }

// check reports output over the limits.
func (c *capped) check() error {
	if c.truncated {
		return fmt.Errorf("printed more than %d bytes, or all plugins together more than %d", maxStdout, MaxOutput)
	}
	if bytes.Count(c.data, []byte("{")) > maxObjects {
		return fmt.Errorf("printed more than %d JSON objects", maxObjects)
	}
	return nil
}
