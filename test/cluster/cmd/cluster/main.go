// Command cluster builds the cluster that the tests use, and runs it, or its control plane
// alone, in the background for a demonstration or for tests by hand.
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

const usage = `cluster builds and runs Kubernetes, for tests and demonstrations.

Usage:

  cluster build            build all parts; print NAME=PATH for each
  cluster up   --dir DIR [--listen IP]
                           start a control plane alone (etcd and kube-apiserver, on loopback)
                           in the background; the kubeconfig of its administrator is
                           DIR/kubeconfig, logs are DIR/*.log; with --listen it serves on all
                           addresses, and is known by IP beside 127.0.0.1: for a network
                           namespace of its own
  cluster up   --dir DIR --nodes N [--cni default|none]
                           start a cluster with controllers and N nodes, each of them with its
                           own containerd, kubelet, network and files; without --cni default
                           the nodes have no CNI configuration, and are not Ready until one
                           is written to their /etc/cni/net.d; DIR/nodeN/enter COMMAND runs a
                           command on a node, and DIR/nodeN holds its logs and files
  cluster image --dir DIR NAME:TAG FILE[=PATH]...
                           make an image of static binaries and import it on every node; a
                           file is at PATH in the image, or else at /FILE, and the first one
                           is what runs; busybox:1 is there already
  cluster down --dir DIR   stop all and remove what it left in DIR
  cluster -h               print this help

The binaries are kept in $KACTUS_TEST_CACHE or, where that is unset, in the user's cache
folder. The first build compiles Kubernetes, which takes under 10 minutes; it needs the go
command, a Go module proxy, and a working directory inside the source tree. Nodes need root
and Debian's packages runc and busybox-static.
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
	case "image":
		settings, err := parse(verb, args)
		if err != nil {
			return err
		}
		return makeImage(ctx, settings, stderr)
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

// settings are the values of a verb's flags, and what follows them.
type settings struct {
	dir    string
	listen net.IP
	nodes  int
	cni    string
	rest   []string
}

func parse(verb string, args []string) (settings, error) {
	s := settings{cni: "none"}
	flags := flag.NewFlagSet(verb, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // main prints errors and the help
	if verb != "build" {
		flags.StringVar(&s.dir, "dir", "", "")
	}
	if verb == "up" {
		flags.TextVar(&s.listen, "listen", net.IP(nil), "")
		flags.IntVar(&s.nodes, "nodes", 0, "")
		flags.StringVar(&s.cni, "cni", s.cni, "")
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return s, err
	} else if err != nil {
		return s, usageError(fmt.Sprintf("%s: %v", verb, err))
	}
	s.rest = flags.Args()
	if wrong := s.wrong(verb); wrong != "" {
		return s, usageError(verb + ": " + wrong)
	}
	return s, nil
}

// wrong says what is wrong with the settings of a verb; empty means nothing.
func (s settings) wrong(verb string) string {
	switch {
	case verb != "image" && len(s.rest) > 0:
		return fmt.Sprintf("unexpected argument %q", s.rest[0])
	case verb == "image" && len(s.rest) < 2:
		return "NAME:TAG and a file are needed"
	case verb != "build" && s.dir == "":
		return "--dir is needed"
	case s.nodes < 0:
		return "--nodes is negative"
	case s.cni != "default" && s.cni != "none":
		return fmt.Sprintf("--cni is default or none, not %q", s.cni)
	case s.cni == "default" && s.nodes == 0:
		return "--cni needs --nodes"
	case s.listen != nil && s.nodes > 0:
		return "--listen and --nodes exclude each other"
	}
	return ""
}
