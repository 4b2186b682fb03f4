// Command cluster builds the control plane that the tests use, and runs it in the
// background for a demonstration or for tests by hand.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
)

const usage = `cluster builds and runs a Kubernetes control plane (etcd and kube-apiserver) on loopback.

Usage:

  cluster build            build all parts; print NAME=PATH for each
  cluster up   --dir DIR [--listen IP]
                           start a control plane in the background; the kubeconfig of its
                           administrator is DIR/kubeconfig, logs are DIR/*.log; with --listen
                           it serves on all addresses, and is known by IP beside 127.0.0.1:
                           for a network namespace of its own
  cluster down --dir DIR   stop it and remove what it left in DIR
  cluster -h               print this help

The binaries are kept in $KACTUS_TEST_CACHE or, where that is unset, in the user's cache
folder. The first build compiles Kubernetes, which takes about 5 minutes; it needs the go
command, a Go module proxy, and a working directory inside the source tree.
`

func main() {
	// The second signal ends the command at once: stop gives the default back.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	var wrong usageError
	switch {
	case err == nil:
		return
	case errors.Is(err, flag.ErrHelp):
		fmt.Print(usage)
		return
	case errors.As(err, &wrong):
		fmt.Fprintf(os.Stderr, "cluster: %v\n\n%s", err, usage)
		os.Exit(2)
	}
	fmt.Fprintf(os.Stderr, "cluster: %v\n", err)
	os.Exit(1)
}

// usageError says what is wrong with the command line.
type usageError string

func (e usageError) Error() string { return string(e) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return usageError("a verb is needed")
	}
	verb, args := args[0], args[1:]
	switch verb {
	case "build":
		if _, err := parse(verb, args); err != nil {
			return err
		}
		return build(ctx, stdout, stderr)
	case "up":
		settings, err := parse(verb, args)
		if err != nil {
			return err
		}
		return up(ctx, settings, stdout, stderr)
	case "down":
		settings, err := parse(verb, args)
		if err != nil {
			return err
		}
		return down(settings.dir, stderr)
	case "-h", "-help", "--help", "help":
		return flag.ErrHelp
	}
	return usageError(fmt.Sprintf("unknown verb %q", verb))
}

// settings are the values of a verb's flags.
type settings struct {
	dir    string
	listen net.IP
}

func parse(verb string, args []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet(verb, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // main prints errors and the help
	if verb != "build" {
		flags.StringVar(&s.dir, "dir", "", "")
	}
	if verb == "up" {
		flags.TextVar(&s.listen, "listen", net.IP(nil), "")
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return s, err
	} else if err != nil {
		return s, usageError(fmt.Sprintf("%s: %v", verb, err))
	}
	if flags.NArg() > 0 {
		return s, usageError(fmt.Sprintf("%s: unexpected argument %q", verb, flags.Arg(0)))
	}
	if verb != "build" && s.dir == "" {
		return s, usageError(verb + ": --dir is needed")
	}
	return s, nil
}
