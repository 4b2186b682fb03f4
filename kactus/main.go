// kactus is a CNI meta-plugin for Kubernetes: it gives a Pod its default network, and one more device for every network
// that the Pod asks for. The container runtime runs it as a CNI plugin, with CNI_COMMAND set; run by hand, it has
// subcommands for the operator.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// Stamped by build.sh.
var (
	version = "unknown"
	commit  = "unknown"
	date    = "unknown"
)

// program is what kactus is given by whoever starts it.
type program struct {
	getenv func(string) string
	args   []string
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

// softLimit is from when on the garbage collector works harder, in bytes. What kactus keeps is bounded well below it.
const softLimit = 36 << 20

func main() {
	debug.SetMemoryLimit(softLimit)
	// Told to end, a verb undoes what it began, and then does.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if os.Getenv("CNI_COMMAND") != "" {
		// Where nobody reads what a verb prints, the write fails, and kactus can say so, which it could not if it died of it.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	}
	p := program{getenv: os.Getenv, args: os.Args[1:], stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(p.run(ctx))
}

// run gives the exit code.
func (p program) run(ctx context.Context) int {
	if p.getenv("CNI_COMMAND") != "" {
		return p.runVerb(ctx)
	}
	return p.runSubcommand(ctx)
}
