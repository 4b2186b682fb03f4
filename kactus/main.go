// kactus is a CNI meta-plugin for Kubernetes: it gives a Pod its default network, and one more
// interface for every network that the Pod asks for. The container runtime executes it as a CNI
// plugin, with CNI_COMMAND set. Run by hand, it has subcommands for the operator.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/nullipam"
)

// Stamped by build.sh.
var (
	version = "unknown"
	commit  = "unknown"
	date    = "unknown"
)

// cli is the process's name, environment, arguments and streams.
type cli struct {
	name   string // of the file that is executed, which may be a link
	getenv func(string) string
	args   []string
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

// memoryLimit is the memory, in bytes, from which on the garbage collector works harder. What
// kactus holds is bounded well below it.
const memoryLimit = 36 << 20

func main() {
	debug.SetMemoryLimit(memoryLimit)
	// An operation that is told to end rolls back what it started, and then ends.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	c := cli{
		name:   filepath.Base(os.Args[0]),
		getenv: os.Getenv,
		args:   os.Args[1:],
		stdin:  os.Stdin,
		stdout: os.Stdout,
		stderr: os.Stderr,
	}
	code := c.run(ctx)
	stop()
	os.Exit(code)
}

// run returns the exit code.
func (c cli) run(ctx context.Context) int {
	operation := c.getenv("CNI_COMMAND")
	if operation != "" {
		// If nobody reads the result, the write fails, and kactus can report that. SIGPIPE would
		// kill it.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	}
	switch {
	case c.name == nullipam.Name:
		return c.runNull(ctx)
	case operation != "":
		return c.runOperation(ctx, operation)
	}
	return c.runSubcommand(ctx)
}
