package main

import (
	"context"
	"fmt"
)

// measureAll makes the report, of the parts that are asked for.
func (b *bed) measureAll(ctx context.Context) (*report, error) {
	r := &report{Machine: thisMachine(b.dir), Rounds: b.opts.rounds, Warmup: b.opts.warmup}
	var err error
	if r.BinaryBytes, err = b.binarySize(); err != nil {
		return nil, err
	}
	subjects, err := b.subjects(ctx)
	if err != nil {
		return nil, err
	}
	for _, part := range []struct {
		name    string
		measure func(context.Context, *report, []subject) error
	}{{partVerbs, b.verbs}, {partStorm, b.storms}, {partGrowth, b.growth}, {partSweep, b.sweep}} {
		if b.opts.has(part.name) {
			if err := part.measure(ctx, r, subjects); err != nil {
				return nil, err
			}
		}
	}
	r.Targets = r.judge()
	return r, nil
}

func (b *bed) subjects(ctx context.Context) ([]subject, error) {
	all := []subject{alone{b, 1}, b.kactus(nameKactus, "main", nil)}
	for _, p := range b.opts.peers {
		m, err := b.peer(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("peer %s: %w", p.name, err)
		}
		all = append(all, m)
	}
	return all, nil
}

// verbs measures the main table, and, in the same rounds as Pods without networks, what is under all of it.
func (b *bed) verbs(ctx context.Context, r *report, subjects []subject) error {
	var groups [][]trial
	var lives []*life
	for _, n := range b.opts.networks {
		group, err := b.group(ctx, subjects, n, "")
		if err != nil {
			return err
		}
		groups, lives = append(groups, trials(group)), append(lives, group...)
	}
	hot, err := b.group(ctx, subjects, 1, hotName)
	if err != nil {
		return err
	}
	floor, err := b.floor(ctx)
	if err != nil {
		return err
	}
	groups, lives = append(groups, trials(hot)), append(lives, hot...)
	groups[0] = append(groups[0], floor.empty, floor.get)
	if err := interleave(ctx, "ADD and DEL", groups, b.opts.rounds, b.opts.warmup); err != nil {
		return err
	}
	r.Floor = floor.summarize()
	for _, l := range lives {
		rows, err := l.rows(ctx)
		if err != nil {
			return err
		}
		r.Verbs = append(r.Verbs, rows...)
	}
	return nil
}

// group is a life by each subject, of Pods of n networks each. A subject without hot verbs has no hot life.
func (b *bed) group(ctx context.Context, subjects []subject, n int, hot string) ([]*life, error) {
	var lives []*life
	for _, s := range subjects {
		if m, ok := s.(*metaPlugin); ok && hot != "" && m.hotArgs == "" {
			continue
		}
		o, err := b.makePod(ctx, s, fmt.Sprintf("n%d", n), networkNames(n), 0)
		if err != nil {
			return nil, err
		}
		o.hot = hot
		lives = append(lives, b.life(s, o))
	}
	return lives, nil
}

func trials(lives []*life) []trial {
	var all []trial
	for _, l := range lives {
		all = append(all, l)
	}
	return all
}

// rows are what a life measured, and, in two more lives that are not timed, what there is to weigh and to count.
func (l *life) rows(ctx context.Context) ([]row, error) {
	weights, requests, traces := map[verb]int64{}, map[verb]int{}, map[verb]fsyncs{}
	weigh := func(v verb, do func(runner) error) error {
		mark, err := l.bed.cp.AuditMark()
		if err != nil {
			return err
		}
		var s scale
		if err := do(&s); err != nil {
			return err
		}
		weights[v] = s.kib
		requests[v], err = l.bed.requests(ctx, mark)
		return err
	}
	trace := func(v verb, do func(runner) error) error {
		var t tracer
		err := do(&t)
		traces[v] = t.fsyncs
		return err
	}
	for _, measure := range []func(verb, func(runner) error) error{weigh, trace} {
		if err := l.live(measure); err != nil {
			return nil, err
		}
	}
	var rows []row
	for _, v := range []verb{add, del, hotAdd, hotDel} {
		if len(l.wall[v]) == 0 {
			continue
		}
		row := row{Subject: l.subject.name(), Verb: v, Networks: len(l.object.networks), Wall: summarize(l.wall[v]), CPU: summarize(l.cpu[v])}
		row.Requests, row.Fsyncs = measured(requests, v), measured(traces, v)
		if _, isMeta := l.subject.(*metaPlugin); isMeta {
			row.PeakKiB = measured(weights, v)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// measured is nil where nothing was.
func measured[T any](all map[verb]T, v verb) *T {
	figure, ok := all[v]
	if !ok {
		return nil
	}
	return &figure
}
