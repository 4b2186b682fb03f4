package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/install"
)

// install runs kactus install.
func (c cli) install(ctx context.Context, args []string) int {
	f, err := c.parseInstall(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return c.usageError("install: %v", err)
	}
	i := &install.Installer{Options: f.Options}
	switch {
	case f.probe != "":
		return c.probe(ctx, "install", f.socket, map[string]string{"ready": "/healthz", "live": "/livez"}[f.probe])
	case f.dryRun && f.uninstall:
		return c.report("would ", i.PlanUninstall(), nil)
	case f.dryRun:
		changes, err := i.Plan()
		code := c.report("would ", changes, err)
		c.describe(i)
		return code
	case f.uninstall:
		changes, err := i.Uninstall()
		return c.report("", changes, err)
	case f.once:
		return c.installOnce(ctx, i)
	}
	return c.keepInstalled(ctx, i, f)
}

func (c cli) installOnce(ctx context.Context, i *install.Installer) int {
	// What Refresh reports concerns later tokens and other installers.
	if warning, err := i.Refresh(ctx); warning != nil || err != nil {
		fmt.Fprintf(c.stderr, "kactus: install: %v\n", errors.Join(err, warning))
	}
	changes, err := i.Install()
	if notice := i.Notice(); notice != nil {
		fmt.Fprintf(c.stderr, "kactus: install: %v\n", notice)
	}
	return c.report("", changes, err)
}

// describe prints what the netconf has of the node, and what is odd about that.
func (c cli) describe(i *install.Installer) {
	if found := i.Found(); found != "" {
		fmt.Fprintf(c.stdout, "the default network is %s\n", found)
	}
	if notice := i.Notice(); notice != nil {
		fmt.Fprintf(c.stderr, "kactus: install: %v\n", notice)
	}
}

// report prints the changes, and returns the exit status.
func (c cli) report(prefix string, changes []install.Change, err error) int {
	for _, change := range changes {
		fmt.Fprintf(c.stdout, "%s%s\n", prefix, change.What)
		if prefix != "" && change.Content != nil {
			fmt.Fprintf(c.stdout, "%s\n", indent(change.Content))
		}
	}
	if err != nil {
		fmt.Fprintf(c.stderr, "kactus: install: %v\n", err)
		return 1
	}
	if len(changes) == 0 {
		fmt.Fprintln(c.stdout, "nothing to do")
	}
	return 0
}

// indent returns the lines of a file, indented by a tab.
func indent(content []byte) string {
	return "\t" + strings.ReplaceAll(strings.TrimSpace(string(content)), "\n", "\n\t")
}
