package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/inventory"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/metaplugin"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
)

// reclaimer tears down the attachments and orphans of containers whose network namespace is
// certainly gone, and nothing else.
type reclaimer struct {
	cli
	conf       netconf.Conf
	pluginDirs []string
	dryRun     bool
	index      netns.Index
}

// gc reclaims what is left on the node. It exits with 1 if something could not be torn down.
func (c cli) gc(ctx context.Context, args []string) int {
	f := newLedgerFlags("gc")
	binDirs := f.String("bin-dir", cmp.Or(c.getenv("CNI_PATH"), "/opt/cni/bin"),
		"the `directories` of CNI plugins, separated by colons")
	timeout := f.Duration("delegate-timeout", netconf.DefaultDelegateTimeout, "how long one plugin may run")
	dryRun := f.Bool("dry-run", false, "print what would be torn down, and exit")
	if code, done := c.parse(f, args); done {
		return code
	}
	r := reclaimer{
		cli: c,
		conf: netconf.Conf{
			CNIDir: f.cniDir, LockDir: f.lockDir, DelegateTimeout: *timeout,
			ParallelDelegates: netconf.DefaultParallelDelegates,
		},
		pluginDirs: filepath.SplitList(*binDirs),
		dryRun:     *dryRun,
	}
	if err := r.run(ctx, f.ledger()); err != nil {
		return c.failed("gc", err)
	}
	return 0
}

func (r reclaimer) run(ctx context.Context, l ledger.Ledger) error {
	var err error
	if r.index, err = netns.Scan(); err != nil {
		return err
	}
	snapshot, err := l.Read()
	if err != nil {
		return err
	}
	r.reportUndecided(snapshot)
	before := r.stale(snapshot)
	switch {
	case len(before) == 0:
		_, err := fmt.Fprintln(r.stdout, "nothing to reclaim")
		return err
	case r.dryRun:
		return r.printResults(before, func(inventory.Attachment) string { return "would be torn down" })
	}
	failed := r.reclaim(ctx)
	if snapshot, err = l.Read(); err != nil {
		return errors.Join(failed, err)
	}
	after := r.stale(snapshot)
	return errors.Join(failed, r.printResults(before, func(a inventory.Attachment) string {
		if slices.ContainsFunc(after, func(b inventory.Attachment) bool { return isSame(a, b) }) {
			return "left"
		}
		return "torn down"
	}))
}

// reportUndecided reports the records that may hold something stale, which cannot be told from
// here.
func (r reclaimer) reportUndecided(snapshot ledger.Snapshot) {
	for _, corrupt := range snapshot.Corrupt {
		fmt.Fprintf(r.stderr, "kactus: gc: left alone: %s\n", corrupt)
	}
	for _, record := range snapshot.Records {
		if !r.index.Visible(record.Netns) {
			fmt.Fprintf(r.stderr, "kactus: gc: left alone: the container %s, whose network namespace is not visible "+
				"from here: this is not the mount namespace of the container runtime\n", record.ContainerID)
		}
	}
}

func (r reclaimer) isStale(record ledger.Record) bool { return r.index.Gone(record.Netns) }

func (r reclaimer) stale(snapshot ledger.Snapshot) []inventory.Attachment {
	var stale ledger.Snapshot
	for _, record := range snapshot.Records {
		if r.isStale(record) {
			stale.Records = append(stale.Records, record)
		}
	}
	return inventory.List(stale)
}

func isSame(a, b inventory.Attachment) bool {
	return a.ContainerID == b.ContainerID && a.IfName == b.IfName && a.State == b.State && a.Created.Equal(b.Created)
}

func (r reclaimer) reclaim(ctx context.Context) error {
	log, closeLog := r.openLog(r.conf)
	defer closeLog()
	log = log.With("operation", "gc")
	plugin := r.newPlugin(metaplugin.Request{Conf: r.conf, PluginDirs: r.pluginDirs}, log)
	return plugin.Reclaim(ctx, r.isStale)
}

func (r reclaimer) printResults(all []inventory.Attachment, result func(inventory.Attachment) string) error {
	return r.printTable("POD\tCONTAINER\tNETWORK\tINTERFACE\tSTATE\tRESULT", len(all), func(i int) string {
		return identityCells(all[i]) + "\t" + all[i].State + "\t" + result(all[i])
	})
}
