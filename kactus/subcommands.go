package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// subcommand is what kactus does when it is run by hand.
type subcommand struct {
	name, args, help string
	run              func(ctx context.Context, args []string) int
}

// withOptions begins the args of a subcommand that has options, and prints its own help.
const withOptions = "[OPTION...]"

func (c cli) subcommands() []subcommand {
	return []subcommand{
		{"version", "", "print the version, the commit, and what kactus is built with and for", c.printVersion},
		{"device-name", "NETWORK...", "print the name of a network's interface in a Pod", c.printDeviceNames},
		{"validate", withOptions + " [FILE]",
			"print all problems of a netconf, .conf or .conflist (default: stdin; -h: its options)", c.validate},
		{"list", withOptions, "list the attachments of this node (-h: its options)", c.list},
		{"check", withOptions, "compare every attachment of this node with the kernel; exit 1 on a problem", c.check},
		{"gc", withOptions, "tear down what no live network namespace holds (-dry-run: only list it)", c.gc},
		{"agent", withOptions, "add networks to, and remove them from, running Pods (-h: its options)", c.agent},
		{"install", withOptions, "install kactus on a node, and keep it installed (-h: its options)", c.install},
		{"help", "", "print this", c.help},
	}
}

func (c cli) runSubcommand(ctx context.Context) int {
	if len(c.args) == 0 {
		return c.help(ctx, nil)
	}
	name := c.args[0]
	switch {
	case isHelp(name):
		name = "help"
	case name == "--version":
		name = "version"
	}
	for _, s := range c.subcommands() {
		switch {
		case s.name != name:
		case !strings.HasPrefix(s.args, withOptions) && slices.ContainsFunc(c.args[1:], isHelp):
			fmt.Fprintf(c.stdout, "Usage: kactus %s\n\n%s\n", strings.TrimSpace(s.name+" "+s.args), s.help)
			return 0
		default:
			return s.run(ctx, c.args[1:])
		}
	}
	return c.usageError("%q is not a subcommand of kactus", c.args[0])
}

func isHelp(arg string) bool { return arg == "-h" || arg == "--help" }

// usageError reports a wrong command line.
func (c cli) usageError(format string, args ...any) int {
	fmt.Fprintf(c.stderr, "kactus: "+format+"\n\n%s", append(args, c.usage())...)
	return 2
}

// failed reports why a subcommand did not do its work.
func (c cli) failed(name string, err error) int {
	fmt.Fprintf(c.stderr, "kactus: %s: %v\n", name, err)
	return 1
}

func (c cli) help(context.Context, []string) int {
	fmt.Fprintf(c.stdout, "%s\nThe container runtime executes it, with CNI_COMMAND set and a netconf on stdin.\n\n%s",
		about(), c.usage())
	return 0
}

func (c cli) usage() string {
	var b strings.Builder
	b.WriteString("Usage by hand:\n")
	for _, s := range c.subcommands() {
		fmt.Fprintf(&b, "  kactus %-27s %s\n", strings.TrimSpace(s.name+" "+s.args), s.help)
	}
	return b.String()
}

func about() string {
	known := strings.Join(netconf.Versions(), ", ")
	return fmt.Sprintf("kactus %s: a CNI meta-plugin that gives Pods more than one network\nCNI versions: %s\n",
		version, known)
}

// printVersion prints the version on a line of its own, the first, for programs.
func (c cli) printVersion(_ context.Context, args []string) int {
	if len(args) > 0 {
		return c.usageError("version takes no argument")
	}
	fmt.Fprintf(c.stdout, "kactus %s\ncommit:   %s of %s\nGo:       %s\nplatform: %s/%s\n",
		version, commit, date, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return 0
}

func (c cli) printDeviceNames(_ context.Context, names []string) int {
	if len(names) == 0 {
		return c.usageError("device-name needs the name of a network")
	}
	for _, name := range names {
		fmt.Fprintln(c.stdout, network.DeviceName(name), name)
	}
	return 0
}
