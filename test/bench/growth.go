package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// growth is how the cost of an ADD grows.
type growth struct {
	Networks []point `json:"networks"`      // with the Pod's networks
	Entries  []point `json:"ledgerEntries"` // with the other Pods that the ledger knows, of a Pod with one network
	PodKB    []point `json:"podKB"`         // with the size of the Pod's object, of a Pod without networks
}

// point is one of a curve.
type point struct {
	Subject string   `json:"subject"`
	X       int      `json:"x"`
	Add     *summary `json:"addMs"`
	Del     *summary `json:"delMs"`
}

// nameGet is the process that gets a Pod and does nothing else.
const nameGet = "GET alone"

func (b *bed) growth(ctx context.Context, r *report, subjects []subject) (err error) {
	r.Growth = &growth{}
	if r.Growth.Networks, err = b.growNetworks(ctx, subjects); err != nil {
		return err
	}
	if r.Growth.Entries, err = b.growLedger(ctx); err != nil {
		return err
	}
	r.Growth.PodKB, err = b.growPod(ctx)
	return err
}

func (b *bed) growNetworks(ctx context.Context, subjects []subject) ([]point, error) {
	var groups [][]trial
	var all []*life
	for _, n := range b.opts.growth {
		group, err := b.group(ctx, subjects, n, "")
		if err != nil {
			return nil, err
		}
		groups, all = append(groups, trials(group)), append(all, group...)
	}
	if err := b.grow(ctx, "more networks", groups); err != nil {
		return nil, err
	}
	var points []point
	for _, l := range all {
		points = append(points, l.point(len(l.object.networks)))
	}
	return points, nil
}

func (b *bed) growLedger(ctx context.Context) ([]point, error) {
	o, err := b.makePod(ctx, alone{b, 1}, "n1", networkNames(1), 0)
	if err != nil {
		return nil, err
	}
	var all []*life
	for _, entries := range b.opts.entries {
		ledger := fmt.Sprintf("of-%d", entries)
		l := b.life(b.kactus(nameKactus, ledger, nil), o)
		if err := l.fill(b.ledgerDir(ledger), entries); err != nil {
			return nil, fmt.Errorf("fill a ledger: %w", err)
		}
		all = append(all, l)
	}
	if err := b.grow(ctx, "more Pods in the ledger", [][]trial{trials(all)}); err != nil {
		return nil, err
	}
	var points []point
	for i, l := range all {
		points = append(points, l.point(b.opts.entries[i]))
	}
	return points, nil
}

// fill gives the ledger of a life's kactus the records of so many other Pods, each as kactus itself writes one.
func (l *life) fill(dir string, entries int) error {
	p, err := l.bed.newPod(l.object)
	if err != nil {
		return err
	}
	defer p.remove()
	if err := l.subject.do(new(clock), add, p); err != nil {
		return err
	}
	record, err := os.ReadFile(filepath.Join(dir, p.id+".json"))
	if err != nil {
		return err
	}
	for i := range entries {
		id := fmt.Sprintf("other-%d", i)
		if err := os.WriteFile(filepath.Join(dir, id+".json"), bytes.ReplaceAll(record, []byte(p.id), []byte(id)), 0o600); err != nil {
			return err
		}
	}
	return l.subject.do(new(clock), del, p)
}

// growPod measures, beside kactus, the process that only gets the Pod: the apiserver, too, takes longer for a larger one.
func (b *bed) growPod(ctx context.Context) ([]point, error) {
	kactus := b.kactus(nameKactus, "main", nil)
	var group []trial
	var lives []*life
	var gets []*process
	for _, kb := range b.opts.podKB {
		o, err := b.makePod(ctx, kactus, fmt.Sprintf("kb%d", kb), nil, kb<<10)
		if err != nil {
			return nil, err
		}
		get, err := b.getProcess(o)
		if err != nil {
			return nil, err
		}
		l := b.life(kactus, o)
		group, lives, gets = append(group, l, get), append(lives, l), append(gets, get)
	}
	if err := b.grow(ctx, "larger Pods", [][]trial{group}); err != nil {
		return nil, err
	}
	var points []point
	for i, kb := range b.opts.podKB {
		points = append(points, lives[i].point(kb), point{Subject: nameGet, X: kb, Add: summarize(gets[i].wall)})
	}
	return points, nil
}

func (b *bed) grow(ctx context.Context, what string, groups [][]trial) error {
	return interleave(ctx, what, groups, b.opts.growthRounds, min(b.opts.warmup, 1))
}

func (l *life) point(x int) point {
	return point{Subject: l.subject.name(), X: x, Add: summarize(l.wall[add]), Del: summarize(l.wall[del])}
}
