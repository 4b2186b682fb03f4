package main

import (
	"context"
	"fmt"
)

// measureAll makes the report, of the parts that are asked for.
func (b *bed) measureAll(ctx context.Context) (*report, error) {
	r := &report{Machine: thisMachine(b.dir), Rounds: b.opts.rounds, Warmup: b.opts.warmup}
	if b.opts.has(partVerbs) {
		if err := b.verbs(ctx, r); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (b *bed) subjects() []subject {
	return []subject{alone{b}, b.kactus(nameKactus, "main", nil)}
}

// verbs measures the main table.
func (b *bed) verbs(ctx context.Context, r *report) error {
	var groups [][]trial
	var lives []*life
	for _, n := range append([]int{}, b.opts.networks...) {
		group, err := b.group(ctx, n, "")
		if err != nil {
			return err
		}
		groups, lives = append(groups, trials(group)), append(lives, group...)
	}
	hot, err := b.group(ctx, 1, hotName)
	if err != nil {
		return err
	}
	groups, lives = append(groups, trials(hot)), append(lives, hot...)
	if err := interleave(ctx, "ADD and DEL", groups, b.opts.rounds, b.opts.warmup); err != nil {
		return err
	}
	for _, l := range lives {
		rows, err := l.rows(ctx)
		if err != nil {
			return err
		}
		r.Verbs = append(r.Verbs, rows...)
	}
	return nil
}

// group is a life by each subject, of Pods of n networks each.
func (b *bed) group(ctx context.Context, n int, hot string) ([]*life, error) {
	var lives []*life
	for _, s := range b.subjects() {
		o := podObject{name: fmt.Sprintf("n%d", n), networks: networkNames(n), hot: hot}
		o, err := b.makePod(ctx, o, nil, 0)
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

// rows are what a life measured, and, in two rounds that are not timed, what there is to weigh and to count.
func (l *life) rows(ctx context.Context) ([]row, error) {
	weights, requests, traces := map[verb]int64{}, map[verb]int{}, map[verb]fsyncs{}
	err := l.live(func(v verb, do func(runner) error) error {
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
	})
	if err != nil {
		return nil, err
	}
	err = l.live(func(v verb, do func(runner) error) error {
		var t tracer
		err := do(&t)
		traces[v] = t.fsyncs
		return err
	})
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, v := range []verb{add, del, hotAdd, hotDel} {
		if len(l.wall[v]) == 0 {
			continue
		}
		row := row{Subject: l.subject.name(), Verb: v, Networks: len(l.object.networks), Wall: summarize(l.wall[v]), CPU: summarize(l.cpu[v])}
		count, trace, weight := requests[v], traces[v], weights[v]
		row.Requests, row.Fsyncs = &count, &trace
		if _, alone := l.subject.(alone); !alone { // which are no meta-plugin
			row.PeakKiB = &weight
		}
		rows = append(rows, row)
	}
	return rows, nil
}
