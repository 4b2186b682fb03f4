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
	before, err := r.stale(l, r.reportUndecided)
	switch {
	case err != nil:
		return err
	case len(before) == 0:
		_, err := fmt.Fprintln(r.stdout, "nothing to reclaim")
		return err
	case r.dryRun:
		return r.printResults(before, func(inventory.Attachment) string { return "would be torn down" })
	}
	failed := r.reclaim(ctx)
	after, err := r.stale(l, func(ledger.Record, error) {})
	if err != nil {
		return errors.Join(failed, err)
	}
	left := map[identity]bool{}
	for _, a := range after {
		left[identify(a)] = true
	}
	return errors.Join(failed, r.printResults(before, func(a inventory.Attachment) string {
		if left[identify(a)] {
			return "left"
		}
		return "torn down"
	}))
}

// reportUndecided reports a record that may hold something stale, which cannot be told from here.
func (r reclaimer) reportUndecided(record ledger.Record, corrupt error) {
	switch {
	case corrupt != nil:
		fmt.Fprintf(r.stderr, "kactus: gc: left alone: %s\n", corrupt)
	case record.Netns.IsZero():
		fmt.Fprintf(r.stderr, "kactus: gc: left alone: the container %s, whose network namespace is not recorded\n",
			record.ContainerID)
	case !r.index.Visible(record.Netns):
		fmt.Fprintf(r.stderr, "kactus: gc: left alone: the container %s, whose network namespace is not visible "+
			"from here: this is not the mount namespace of the container runtime\n", record.ContainerID)
	}
}

func (r reclaimer) isStale(record ledger.Record) bool { return r.index.Gone(record.Netns) }

// stale returns the attachments of the records that are stale, without what is not printed of them.
// It calls inspect for every record, and for those that are corrupt.
func (r reclaimer) stale(
	l ledger.Ledger, inspect func(ledger.Record, error),
) (stale []inventory.Attachment, err error) {
	for record, err := range inventory.Records(l) {
		var corrupt ledger.CorruptRecord
		if err != nil && !errors.As(err, &corrupt) {
			return nil, err
		}
		inspect(record, err)
		if err == nil && r.isStale(record) {
			for _, a := range inventory.Of(record) {
				a.MAC, a.IPs, a.LastFailure = "", nil, ""
				stale = append(stale, a)
			}
		}
	}
	return stale, nil
}

// identity tells an attachment from all others.
type identity struct {
	containerID, ifName, state string
	created                    int64
}

func identify(a inventory.Attachment) identity {
	return identity{a.ContainerID, a.IfName, a.State, a.Created.UnixNano()}
}

func (r reclaimer) reclaim(ctx context.Context) error {
	log, closeLog := r.openLog(r.conf)
	defer closeLog()
	log = log.With("operation", "gc")
	plugin := r.newPlugin(metaplugin.Request{Conf: r.conf, PluginDirs: r.pluginDirs}, log)
	return plugin.Reclaim(ctx, r.isStale)
}

func (r reclaimer) printResults(all []inventory.Attachment, result func(inventory.Attachment) string) error {
	const heading = "POD\tCONTAINER\tNETWORK\tINTERFACE\tSTATE\tRESULT"
	return printTable(r.stdout, heading, mapped(slices.Values(all), func(a inventory.Attachment) string {
		return identityCells(a) + "\t" + a.State + "\t" + result(a)
	}))
}
