package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/install"
)

// keepInstalled installs periodically until ctx ends. After that the node works on until the token
// expires.
func (c cli) keepInstalled(ctx context.Context, i *install.Installer, f installFlags) int {
	leadership := i.Leadership()
	defer leadership.Release()
	h := &health{err: errors.New("not installed yet")}
	if f.health != "" {
		go c.serveHealth(ctx, f, h)
	}
	ticker := time.NewTicker(f.every)
	defer ticker.Stop()
	last := ""
	for {
		state, err := c.installIfLeader(i, leadership)
		h.set(err)
		if state != last {
			c.logLine(state)
			last = state
		}
		select {
		case <-ctx.Done():
			c.logLine("stopping, kactus stays installed")
			return 0
		case <-ticker.C:
		}
	}
}

// installIfLeader makes one pass, and returns the state for the log and the error for /healthz.
func (c cli) installIfLeader(i *install.Installer, l *install.Leadership) (state string, err error) {
	leads, err := l.Acquire()
	if err == nil && !leads {
		return "waiting, another installer leads", nil
	}
	if err == nil {
		var changes []install.Change
		changes, err = i.Install()
		for _, change := range changes {
			c.logLine(change.What)
		}
	}
	if err != nil {
		return "not installed: " + err.Error(), err
	}
	return "installed", nil
}

// logLine writes a line to the container's log.
func (c cli) logLine(line string) {
	fmt.Fprintf(c.stdout, "%s %s\n", time.Now().UTC().Format(time.RFC3339), line)
}
