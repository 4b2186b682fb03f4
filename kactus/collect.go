package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/inventory"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
)

// collector is kactus gc. It undoes the attachments and orphans of containers whose network namespace has ended for certain, and nothing else.
type collector struct {
	program
	cniDir, path string
	timeout      time.Duration
	dryRun       bool
	live         ledger.Live
}

// collect exits with 1 where something could not be undone.
func (p program) collect(ctx context.Context, args []string) int {
	c, o := collector{program: p}, newOptions("gc")
	o.StringVar(&c.path, "bin-dir", cmp.Or(p.getenv("CNI_PATH"), "/opt/cni/bin"), "the `folders` of CNI plugins, with colons between them")
	o.DurationVar(&c.timeout, "delegate-timeout", netconf.DefaultDelegateTimeout, "how long one plugin may run")
	o.BoolVar(&c.dryRun, "dry-run", false, "say what would be undone, and exit")
	if code, done := p.parse(o, args); done {
		return code
	}
	c.cniDir = o.cniDir
	if err := c.run(ctx); err != nil {
		return p.failed("gc", err)
	}
	return 0
}

func (c collector) run(ctx context.Context) error {
	var err error
	if c.live, err = ledger.LookAround(); err != nil {
		return err
	}
	snapshot, err := ledger.Read(c.cniDir)
	if err != nil {
		return err
	}
	c.tellUnjudged(snapshot)
	before := c.stale(snapshot)
	switch {
	case len(before) == 0:
		_, err := fmt.Fprintln(c.stdout, "nothing to undo")
		return err
	case c.dryRun:
		return c.print(before, func(inventory.Attachment) string { return "would be undone" })
	}
	failed := c.sweep(ctx)
	if snapshot, err = ledger.Read(c.cniDir); err != nil {
		return errors.Join(failed, err)
	}
	after := c.stale(snapshot)
	return errors.Join(failed, c.print(before, func(a inventory.Attachment) string {
		if slices.ContainsFunc(after, func(b inventory.Attachment) bool { return sameAttachment(a, b) }) {
			return "left"
		}
		return "undone"
	}))
}

// tellUnjudged tells of what may hold something stale, for all that can be said.
func (c collector) tellUnjudged(snapshot ledger.Snapshot) {
	for _, u := range snapshot.Unread {
		fmt.Fprintf(c.stderr, "kactus: gc: left alone: %s\n", u)
	}
	for _, r := range snapshot.Records {
		if !c.live.Sees(r.Netns) {
			fmt.Fprintf(c.stderr, "kactus: gc: left alone: the container %s, whose network namespace cannot be seen from here: this is not the container runtime's mount namespace\n", r.ContainerID)
		}
	}
}

func (c collector) stale(snapshot ledger.Snapshot) []inventory.Attachment {
	records := slices.DeleteFunc(slices.Clone(snapshot.Records), func(r ledger.Record) bool { return !c.live.Ended(r.Netns) })
	return inventory.Of(ledger.Snapshot{Records: records})
}

func sameAttachment(a, b inventory.Attachment) bool {
	return a.ContainerID == b.ContainerID && a.Device == b.Device && a.State == b.State && a.Created.Equal(b.Created)
}

func (c collector) sweep(ctx context.Context) error {
	conf := netconf.Conf{CNIDir: c.cniDir, DelegateTimeout: c.timeout, ParallelDelegates: netconf.DefaultParallelDelegates}
	log, closeLog := c.log(conf)
	defer closeLog()
	verbs, err := c.verbs(conf, c.path, log)
	if err != nil {
		return err
	}
	return verbs.Sweep(ctx, func(r ledger.Record) bool { return c.live.Ended(r.Netns) })
}

func (c collector) print(all []inventory.Attachment, result func(inventory.Attachment) string) error {
	return c.printTable("POD\tCONTAINER\tNETWORK\tDEVICE\tSTATE\tRESULT", len(all), func(i int) string {
		return whose(all[i]) + "\t" + all[i].State + "\t" + result(all[i])
	})
}
