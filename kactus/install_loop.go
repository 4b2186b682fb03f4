package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/install"
)

// keepInstalled installs periodically until ctx ends. After that the node works on until its token
// expires.
func (c cli) keepInstalled(ctx context.Context, i *install.Installer, f installFlags) int {
	leadership := i.Leadership()
	defer leadership.Release()
	h := &health{err: errors.New("not installed yet")}
	go c.serveHealth(ctx, f, h)
	ticker := time.NewTicker(f.every)
	defer ticker.Stop()
	changes := watchDir(ctx, f.ConfDir, f.every)
	last := ""
	for {
		state, err := c.pass(ctx, i, leadership)
		h.set(state, err)
		if state != last {
			c.logLine(state)
			last = state
		}
		select {
		case <-ctx.Done():
			c.logLine("stopping, kactus stays installed")
			return 0
		case <-ticker.C:
		case <-changes:
		}
	}
}

// pass makes one pass, and returns the state for the log and the error for /healthz.
func (c cli) pass(ctx context.Context, i *install.Installer, l *install.Leadership) (state string, err error) {
	warning, refreshErr := i.Refresh(ctx)
	leads, lockErr := l.Acquire()
	do, state, failed := i.InstallToken, "waiting, another installer leads", "waiting, and failing: "
	if leads {
		do, state, failed = i.Install, "installed", "not completely installed: "
	}
	changes, err := do()
	for _, change := range changes {
		c.logLine(change.What)
	}
	if found := i.Found(); leads && found != "" {
		state += ", with the default network " + found
	}
	err = errors.Join(refreshErr, lockErr, err)
	switch {
	case err != nil:
		return failed + oneLine(err), err
	case warning != nil || i.Notice() != nil:
		return state + ", but: " + oneLine(errors.Join(warning, i.Notice())), nil
	}
	return state, nil
}

// oneLine returns the text of joined errors as one line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// logLine writes a line to the container's log.
func (c cli) logLine(line string) {
	fmt.Fprintf(c.stdout, "%s %s\n", time.Now().UTC().Format(time.RFC3339), line)
}
