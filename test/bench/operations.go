package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// measureAll measures the selected parts and returns the report.
func (l *lab) measureAll(ctx context.Context) (*report, error) {
	r := &report{Date: time.Now().UTC().Format("2 January 2006"), Machine: thisMachine(l.dir),
		Rounds: l.opts.rounds, Warmup: l.opts.warmup}
	var err error
	if r.BinaryBytes, err = l.binarySize(); err != nil {
		return nil, err
	}
	subjects, err := l.subjects(ctx)
	if err != nil {
		return nil, err
	}
	r.Subjects = nameAll(ctx, subjects)
	for _, part := range []struct {
		name    string
		measure func(context.Context, *report, []subject) error
	}{
		{partOperations, l.operations},
		{partStorm, l.storms},
		{partGrowth, l.growth},
		{partSweep, l.sweep},
		{partAgent, l.agent},
	} {
		if l.opts.has(part.name) {
			if err := part.measure(ctx, r, subjects); err != nil {
				return nil, err
			}
		}
	}
	r.Targets = r.evaluate()
	return r, nil
}

func (l *lab) subjects(ctx context.Context) ([]subject, error) {
	all := []subject{alone{l, 1}, l.kactus(nameKactus, "main", nil)}
	for _, p := range l.opts.peers {
		m, err := l.peer(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("preparing the peer %s: %w", p.name, err)
		}
		all = append(all, m)
	}
	return all, nil
}

// npwgSubjects returns kactus with Pods that have the NPWG annotation: as it is by default, and
// with npwgParallel.
func (l *lab) npwgSubjects() []subject {
	one := l.kactus(nameNPWG, "npwg", nil)
	parallel := l.kactus(nameNPWGParallel, "npwg-parallel", map[string]any{"npwgParallel": true})
	for _, m := range []*metaPlugin{one, parallel} {
		m.hotArgs, m.annotate = "", npwgAnnotations
	}
	return []subject{one, parallel}
}

func npwgAnnotations(_ context.Context, _ string, networks []string) (map[string]string, error) {
	return map[string]string{network.NPWGAnnotation: strings.Join(networks, ",")}, nil
}

// operations measures the main table and, in the same rounds as the Pods without networks, the
// floor.
func (l *lab) operations(ctx context.Context, r *report, subjects []subject) error {
	var groups [][]trial
	var lives []*lifecycle
	subjects = append(subjects, l.npwgSubjects()...)
	for _, n := range l.opts.networks {
		group, err := l.group(ctx, subjects, n, "")
		if err != nil {
			return err
		}
		groups, lives = append(groups, trials(group)), append(lives, group...)
	}
	hot, err := l.group(ctx, subjects, 1, hotName)
	if err != nil {
		return err
	}
	floor, err := l.floor(ctx)
	if err != nil {
		return err
	}
	groups, lives = append(groups, trials(hot)), append(lives, hot...)
	groups[0] = append(groups[0], floor.empty, floor.get)
	if err := interleave(ctx, "ADD and DEL", groups, l.opts.rounds, l.opts.warmup); err != nil {
		return err
	}
	r.Floor = floor.summarize()
	for _, c := range lives {
		rows, err := c.rows(ctx)
		if err != nil {
			return err
		}
		r.Operations = append(r.Operations, rows...)
	}
	return nil
}

// group returns a lifecycle for each subject, of a Pod with n networks. hot is the Pod's hot
// network; empty means none. Subjects without hot operations have no hot lifecycle.
func (l *lab) group(ctx context.Context, subjects []subject, n int, hot string) ([]*lifecycle, error) {
	var lives []*lifecycle
	for _, s := range subjects {
		if m, ok := s.(*metaPlugin); ok && hot != "" && m.hotArgs == "" {
			continue
		}
		o, err := l.makePod(ctx, s, fmt.Sprintf("n%d", n), networkNames(n), 0)
		if err != nil {
			return nil, err
		}
		o.hot = hot
		lives = append(lives, l.lifecycle(s, o))
	}
	return lives, nil
}

func trials(lives []*lifecycle) []trial {
	var all []trial
	for _, c := range lives {
		all = append(all, c)
	}
	return all
}

// rows returns a lifecycle's rows of the main table. It runs two more lifecycles, untimed, for
// memory, requests and fsyncs.
func (c *lifecycle) rows(ctx context.Context) ([]row, error) {
	peaks, requests, syncs := map[operation]int64{}, map[operation]int{}, map[operation]fsyncs{}
	measurePeak := func(op operation, do func(runner) error) error {
		mark, err := c.lab.cp.AuditMark()
		if err != nil {
			return err
		}
		var s memoryMeter
		if err := do(&s); err != nil {
			return err
		}
		peaks[op] = s.kib
		requests[op], err = c.lab.requests(ctx, mark)
		return err
	}
	countSyncs := func(op operation, do func(runner) error) error {
		var t fsyncCounter
		err := do(&t)
		syncs[op] = t.fsyncs
		return err
	}
	for _, measure := range []func(operation, func(runner) error) error{measurePeak, countSyncs} {
		if err := c.run(measure); err != nil {
			return nil, err
		}
	}
	var rows []row
	for _, op := range []operation{add, del, hotAdd, hotDel} {
		if len(c.wall[op]) == 0 {
			continue
		}
		row := row{Subject: c.subject.name(), Operation: op, Networks: len(c.object.networks),
			Wall: summarize(c.wall[op]), CPU: summarize(c.cpu[op])}
		row.Requests, row.Fsyncs = measured(requests, op), measured(syncs, op)
		if _, isMeta := c.subject.(*metaPlugin); isMeta {
			row.PeakKiB = measured(peaks, op)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// measured returns a pointer to the figure of an operation, or nil if there is none.
func measured[T any](all map[operation]T, op operation) *T {
	figure, ok := all[op]
	if !ok {
		return nil
	}
	return &figure
}
