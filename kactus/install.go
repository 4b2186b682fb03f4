package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/install"
)

// install runs kactus install.
func (p program) install(ctx context.Context, args []string) int {
	f, err := p.parseInstall(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return p.usage("install: %v", err)
	}
	i := &install.Installer{Options: f.Options}
	switch {
	case f.dryRun && f.uninstall:
		return p.report("would ", i.PlanUninstall(), nil)
	case f.dryRun:
		changes, err := i.Plan()
		return p.report("would ", changes, err)
	case f.uninstall:
		changes, err := i.Uninstall()
		return p.report("", changes, err)
	case f.once:
		changes, err := i.Install()
		return p.report("", changes, err)
	}
	return p.keepInstalled(ctx, i, f)
}

// report prints the changes, and returns the exit status.
func (p program) report(prefix string, changes []install.Change, err error) int {
	for _, c := range changes {
		fmt.Fprintf(p.stdout, "%s%s\n", prefix, c.What)
	}
	if err != nil {
		fmt.Fprintf(p.stderr, "kactus: install: %v\n", err)
		return 1
	}
	if len(changes) == 0 {
		fmt.Fprintln(p.stdout, "nothing to do")
	}
	return 0
}
