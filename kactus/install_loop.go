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
func (p program) keepInstalled(ctx context.Context, i *install.Installer, f installFlags) int {
	leadership := i.Leadership()
	defer leadership.Release()
	h := &health{err: errors.New("not installed yet")}
	if f.health != "" {
		go p.serveHealth(ctx, f, h)
	}
	ticker := time.NewTicker(f.every)
	defer ticker.Stop()
	last := ""
	for {
		state, err := p.installIfLeader(i, leadership)
		h.set(err)
		if state != last {
			p.logLine(state)
			last = state
		}
		select {
		case <-ctx.Done():
			p.logLine("stopping, kactus stays installed")
			return 0
		case <-ticker.C:
		}
	}
}

// installIfLeader makes one pass, and returns the state for the log and the error for /healthz.
func (p program) installIfLeader(i *install.Installer, l *install.Leadership) (state string, err error) {
	leads, err := l.Acquire()
	if err == nil && !leads {
		return "waiting, another installer leads", nil
	}
	if err == nil {
		var changes []install.Change
		changes, err = i.Install()
		for _, c := range changes {
			p.logLine(c.What)
		}
	}
	if err != nil {
		return "not installed: " + err.Error(), err
	}
	return "installed", nil
}

// logLine writes a line to the container's log.
func (p program) logLine(line string) {
	fmt.Fprintf(p.stdout, "%s %s\n", time.Now().UTC().Format(time.RFC3339), line)
}
