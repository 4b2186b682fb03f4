package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// subcommand is one of those that kactus has when it is run by hand.
type subcommand struct {
	name, args, help string
	run              func(ctx context.Context, args []string) int
}

// withOptions is the args of a subcommand that has options, and says itself what they are.
const withOptions = "[OPTION...]"

func (p program) subcommands() []subcommand {
	return []subcommand{
		{"version", "", "print the version, the commit and the date of the commit", p.printVersion},
		{"device-name", "NETWORK...", "print the name that a network's device has in a Pod", p.printDeviceNames},
		{"validate", "[FILE]", "say all that is wrong with a netconf (of stdin, without FILE)", p.validate},
		{"list", withOptions, "list the attachments of this node (-h: its options)", p.list},
		{"check", withOptions, "compare every attachment of this node with the kernel; exit 1 where something is off", p.check},
		{"gc", withOptions, "undo what no live network namespace holds (-dry-run: say what that would be)", p.collect},
		{"install", withOptions, "install kactus on a node, and stay to keep it right (-h: its options)", p.install},
		{"help", "", "print this", p.help},
	}
}

func (p program) runSubcommand(ctx context.Context) int {
	if len(p.args) == 0 {
		return p.help(ctx, nil)
	}
	name := p.args[0]
	switch {
	case isHelp(name):
		name = "help"
	case name == "--version":
		name = "version"
	}
	for _, s := range p.subcommands() {
		switch {
		case s.name != name:
		case s.args != withOptions && slices.ContainsFunc(p.args[1:], isHelp):
			fmt.Fprintf(p.stdout, "Usage: kactus %s\n\n%s\n", strings.TrimSpace(s.name+" "+s.args), s.help)
			return 0
		default:
			return s.run(ctx, p.args[1:])
		}
	}
	return p.usage("%q is not a subcommand of kactus", p.args[0])
}

func isHelp(arg string) bool { return arg == "-h" || arg == "--help" }

// usage says what was wrong with the call.
func (p program) usage(format string, args ...any) int {
	fmt.Fprintf(p.stderr, "kactus: "+format+"\n\n%s", append(args, p.usageText())...)
	return 2
}

func (p program) help(context.Context, []string) int {
	fmt.Fprintf(p.stdout, "%s\nThe container runtime runs it, with CNI_COMMAND set and a netconf on stdin.\n\n%s", about(), p.usageText())
	return 0
}

func (p program) usageText() string {
	var b strings.Builder
	b.WriteString("Usage by hand:\n")
	for _, s := range p.subcommands() {
		fmt.Fprintf(&b, "  kactus %-24s %s\n", strings.TrimSpace(s.name+" "+s.args), s.help)
	}
	return b.String()
}

func (p program) printVersion(_ context.Context, args []string) int {
	if len(args) > 0 {
		return p.usage("version takes no argument")
	}
	fmt.Fprintf(p.stdout, "kactus %s (commit %s of %s)\n", version, commit, date)
	return 0
}

func (p program) printDeviceNames(_ context.Context, names []string) int {
	if len(names) == 0 {
		return p.usage("device-name needs the name of a network")
	}
	for _, name := range names {
		fmt.Fprintln(p.stdout, network.DeviceName(name), name)
	}
	return 0
}

func (p program) validate(_ context.Context, args []string) int {
	if len(args) > 1 {
		return p.usage("validate takes one file")
	}
	in, name := p.stdin, "stdin"
	if len(args) == 1 {
		file, err := os.Open(args[0])
		if err != nil {
			fmt.Fprintf(p.stderr, "kactus: read the netconf: %v\n", err)
			return 1
		}
		defer file.Close()
		in, name = file, args[0]
	}
	data, err := io.ReadAll(io.LimitReader(in, netconf.MaxSize+1))
	if err != nil {
		fmt.Fprintf(p.stderr, "kactus: read the netconf: %v\n", err)
		return 1
	}
	_, err = netconf.Parse(data)
	if err == nil {
		fmt.Fprintf(p.stdout, "%s: valid\n", name)
		return 0
	}
	problems := []string{err.Error()}
	var invalid *netconf.Error
	if errors.As(err, &invalid) {
		problems = invalid.Problems
	}
	for _, problem := range problems {
		fmt.Fprintf(p.stdout, "%s: %s\n", name, problem)
	}
	return 1
}

// about is what kactus says of itself.
func about() string {
	known := strings.Join(netconf.Versions(), ", ")
	return fmt.Sprintf("kactus %s: a CNI meta-plugin that gives Pods more than one network\nCNI versions: %s\n", version, known)
}
