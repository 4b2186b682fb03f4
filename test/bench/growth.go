package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// growth is how the cost of an ADD grows with three quantities.
type growth struct {
	Networks []point `json:"networks"`      // the Pod's networks
	Entries  []point `json:"ledgerEntries"` // other Pods in the ledger; the Pod has one network
	PodKB    []point `json:"podKB"`         // the size of the Pod's object; the Pod has no network
}

// A point is one measurement of a curve.
type point struct {
	Subject string   `json:"subject"`
	X       int      `json:"x"`
	Add     *summary `json:"addMs"`
	Del     *summary `json:"delMs"`
}

// nameGet is the name of the process that only gets a Pod.
const nameGet = "GET alone"

func (l *lab) growth(ctx context.Context, r *report, subjects []subject) (err error) {
	r.Growth = &growth{}
	if r.Growth.Networks, err = l.growNetworks(ctx, subjects); err != nil {
		return err
	}
	if r.Growth.Entries, err = l.growLedger(ctx); err != nil {
		return err
	}
	r.Growth.PodKB, err = l.growPod(ctx)
	return err
}

func (l *lab) growNetworks(ctx context.Context, subjects []subject) ([]point, error) {
	var groups [][]trial
	var all []*lifecycle
	for _, n := range l.opts.growth {
		group, err := l.group(ctx, subjects, n, "")
		if err != nil {
			return nil, err
		}
		groups, all = append(groups, trials(group)), append(all, group...)
	}
	if err := l.grow(ctx, "more networks", groups); err != nil {
		return nil, err
	}
	var points []point
	for _, c := range all {
		points = append(points, c.point(len(c.object.networks)))
	}
	return points, nil
}

func (l *lab) growLedger(ctx context.Context) ([]point, error) {
	o, err := l.makePod(ctx, alone{l, 1}, "n1", networkNames(1), 0)
	if err != nil {
		return nil, err
	}
	var all []*lifecycle
	for _, entries := range l.opts.entries {
		ledger := fmt.Sprintf("of-%d", entries)
		c := l.lifecycle(l.kactus(nameKactus, ledger, nil), o)
		if err := c.fill(l.ledgerDir(ledger), entries); err != nil {
			return nil, fmt.Errorf("filling the ledger: %w", err)
		}
		all = append(all, c)
	}
	if err := l.grow(ctx, "more Pods in the ledger", [][]trial{trials(all)}); err != nil {
		return nil, err
	}
	var points []point
	for i, c := range all {
		points = append(points, c.point(l.opts.entries[i]))
	}
	return points, nil
}

// fill adds the records of other Pods to a ledger, as kactus itself writes them.
func (c *lifecycle) fill(dir string, entries int) error {
	p, err := c.lab.newPod(c.object)
	if err != nil {
		return err
	}
	defer p.remove()
	if err := c.subject.do(new(cpuTimer), add, p); err != nil {
		return err
	}
	for i := range entries {
		if err := p.copyRecord(dir, fmt.Sprintf("other-%d", i), p.podObject); err != nil {
			return err
		}
	}
	return c.subject.do(new(cpuTimer), del, p)
}

// copyRecord writes the record of p into the ledger again, as that of a container of another Pod in
// the same network namespace.
func (p *pod) copyRecord(dir, containerID string, other podObject) error {
	record, err := os.ReadFile(filepath.Join(dir, p.id+".json"))
	if err != nil {
		return err
	}
	const kept = "(path)" // which has the container's ID in it
	for _, change := range [][2]string{
		{p.sandbox.path, kept}, {p.id, containerID}, {p.uid, other.uid}, {p.name, other.name}, {kept, p.sandbox.path},
	} {
		record = bytes.ReplaceAll(record, []byte(change[0]), []byte(change[1]))
	}
	return os.WriteFile(filepath.Join(dir, containerID+".json"), record, 0o600)
}

// growPod also measures the process that only gets the Pod, because the apiserver takes longer for
// a larger Pod too.
func (l *lab) growPod(ctx context.Context) ([]point, error) {
	kactus := l.kactus(nameKactus, "main", nil)
	var group []trial
	var lives []*lifecycle
	var gets []*process
	for _, kb := range l.opts.podKB {
		o, err := l.makePod(ctx, kactus, fmt.Sprintf("kb%d", kb), nil, kb<<10)
		if err != nil {
			return nil, err
		}
		get, err := l.getProcess(o)
		if err != nil {
			return nil, err
		}
		c := l.lifecycle(kactus, o)
		group, lives, gets = append(group, c, get), append(lives, c), append(gets, get)
	}
	if err := l.grow(ctx, "larger Pods", [][]trial{group}); err != nil {
		return nil, err
	}
	var points []point
	for i, kb := range l.opts.podKB {
		points = append(points, lives[i].point(kb), point{Subject: nameGet, X: kb, Add: summarize(gets[i].wall)})
	}
	return points, nil
}

func (l *lab) grow(ctx context.Context, what string, groups [][]trial) error {
	return interleave(ctx, what, groups, l.opts.growthRounds, min(l.opts.warmup, 1))
}

func (c *lifecycle) point(x int) point {
	return point{Subject: c.subject.name(), X: x, Add: summarize(c.wall[add]), Del: summarize(c.wall[del])}
}
