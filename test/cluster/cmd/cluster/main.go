// Command cluster builds the Kubernetes cluster that the tests use. It runs the cluster, or only a
// control plane, in the background, for demonstrations and manual tests.
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
	"slices"
	"strings"
	"syscall"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

const usage = `cluster builds and runs Kubernetes for tests and demonstrations.

Usage:

  cluster build [--runtimes LIST | --control-plane | --only] [PART...]
                           build all parts of a cluster whose nodes have these runtimes, or only
                           those of a control plane, and other parts, such as helm; with --only,
                           build just the parts that are named; print NAME=PATH for each
  cluster up   --dir DIR [--listen IP]
                           start only a control plane (etcd and kube-apiserver, on loopback) in
                           the background; the administrator's kubeconfig is DIR/kubeconfig,
                           logs are DIR/*.log; with --listen the apiserver serves on all
                           addresses, and its certificate includes IP: for use in a separate
                           network namespace
  cluster up   --dir DIR --nodes N [--runtimes LIST] [--cni default|flannel|none]
                           start a cluster with controllers and N nodes, each with its own
                           container runtime, kubelet, network and files; LIST has the runtimes
                           of the nodes in their order, containerd or crio, separated by commas;
                           a node that is not in LIST has containerd; --cni default is a bridge;
                           without --cni the nodes have no CNI configuration, and are not Ready
                           until one is written to their /etc/cni/net.d; DIR/nodeN/enter COMMAND
                           runs a command on a node, and DIR/nodeN has its logs and files
  cluster image --dir DIR NAME:TAG FILE[=PATH]...
                           make an image of static binaries and import it on every node; FILE
                           is at PATH in the image, by default at /FILE; the first one is the
                           entrypoint; the image busybox:1 exists already
  cluster down --dir DIR   stop everything and remove its files from DIR
  cluster -h               print this help

The binaries are kept in $KACTUS_TEST_CACHE or, if that is unset, in the user's cache directory.
The first build compiles Kubernetes, and says how long that takes; it needs the go command, a Go
module proxy, and a working directory inside the source tree. Nodes need root and the Debian
packages runc and busybox-static; for CRI-O also conmon, gcc and libc6-dev.
`

func main() {
	// A second signal ends the command at once, because stop restores the default.
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

// A usageError describes what is wrong with the command line.
type usageError string

func (e usageError) Error() string { return string(e) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return usageError("a command is required")
	}
	command := args[0]
	switch command {
	case "build", "up", "image", "down":
	case "-h", "-help", "--help", "help":
		return flag.ErrHelp
	default:
		return usageError(fmt.Sprintf("unknown command %q", command))
	}
	s, err := parse(command, args[1:])
	if err != nil {
		return err
	}
	switch command {
	case "build":
		return build(ctx, s, stdout, stderr)
	case "up":
		return up(ctx, s, stdout, stderr)
	case "image":
		return makeImage(ctx, s, stderr)
	default:
		return down(s.dir, stderr)
	}
}

// settings are a command's flags and arguments.
type settings struct {
	dir      string
	listen   net.IP
	nodes    int
	runtimes []cluster.Part
	cni      string
	rest     []string

	// controlPlane and only are of the command build.
	controlPlane, only bool
}

func parse(command string, args []string) (settings, error) {
	s := settings{cni: "none"}
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // main prints errors and the help
	if command != "build" {
		flags.StringVar(&s.dir, "dir", "", "")
	}
	if command == "build" {
		flags.BoolVar(&s.controlPlane, "control-plane", false, "")
		flags.BoolVar(&s.only, "only", false, "")
	}
	if command == "build" || command == "up" {
		flags.Func("runtimes", "", s.setRuntimes)
	}
	if command == "up" {
		flags.TextVar(&s.listen, "listen", net.IP(nil), "")
		flags.IntVar(&s.nodes, "nodes", 0, "")
		flags.StringVar(&s.cni, "cni", s.cni, "")
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return s, err
	} else if err != nil {
		return s, usageError(fmt.Sprintf("%s: %v", command, err))
	}
	s.rest = flags.Args()
	if wrong := s.wrong(command); wrong != "" {
		return s, usageError(command + ": " + wrong)
	}
	return s, nil
}

// setRuntimes parses the flag --runtimes.
func (s *settings) setRuntimes(list string) error {
	for name := range strings.SplitSeq(list, ",") {
		runtime := cluster.Part(name)
		if !slices.Contains(cluster.Runtimes(), runtime) {
			return fmt.Errorf("%q: must be one of %q", name, cluster.Runtimes())
		}
		s.runtimes = append(s.runtimes, runtime)
	}
	return nil
}

// wrong returns what is wrong with the settings of a command, or an empty string.
func (s settings) wrong(command string) string {
	switch {
	case command != "image" && command != "build" && len(s.rest) > 0:
		return fmt.Sprintf("unexpected argument %q", s.rest[0])
	case command == "image" && len(s.rest) < 2:
		return "NAME:TAG and a file are required"
	case s.controlPlane && len(s.runtimes) > 0, s.only && (s.controlPlane || len(s.runtimes) > 0):
		return "--control-plane, --only and --runtimes exclude each other"
	case s.only && len(s.rest) == 0:
		return "--only needs the name of a part"
	case command != "build" && s.dir == "":
		return "--dir is required"
	case s.nodes < 0:
		return "--nodes: must not be negative"
	case !slices.Contains([]string{"default", "flannel", "none"}, s.cni):
		return fmt.Sprintf("--cni %q: must be default, flannel or none", s.cni)
	case command == "up" && len(s.runtimes) > s.nodes:
		return fmt.Sprintf("--runtimes: %d for %d nodes", len(s.runtimes), s.nodes)
	case s.cni != "none" && s.nodes == 0:
		return "--cni needs --nodes"
	case s.listen != nil && s.nodes > 0:
		return "--listen and --nodes exclude each other"
	}
	return ""
}
