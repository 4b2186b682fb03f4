package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// An editRow is the time that a hot operation takes on a Pod: by hand, from before kactus is
// started until it has exited; by the agent, from the answer to the PATCH of the annotation until
// the interface is in the Pod, or gone.
type editRow struct {
	By        string    `json:"by"`
	Operation operation `json:"operation"`
	Pods      int       `json:"pods"`
	Wall      *summary  `json:"wallMs"`
	P99       *float64  `json:"p99Ms"`
}

// edits measures edits of the annotations of Pods, one after the other and all at once.
func (l *lab) edits(ctx context.Context, figures *agentFigures) (err error) {
	byHand, byAgent := l.kactus(nameByHand, "by-hand", nil), l.kactus(nameAgent, "by-agent", nil)
	hand := &editor{lab: l, ctx: ctx, subject: byHand, edit: l.editByHand(byHand)}
	edited := &editor{lab: l, ctx: ctx, subject: byAgent, edit: l.editByAgent}
	defer func() { err = errors.Join(err, endPods(byHand, hand.pods), endPods(byAgent, edited.pods)) }()
	// The Pods by hand are of another node: the agent would undo what nobody asked for.
	grow := func(count int) error {
		return errors.Join(hand.grow("by-hand", count), edited.grow("by-agent", count))
	}
	if err := grow(l.opts.agentPods); err != nil {
		return err
	}
	a, err := l.startAgent(byAgent, "by-agent")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.stop()) }()
	if err := a.awaitCompared(ctx, l.opts.agentPods); err != nil {
		return err
	}
	before, err := resourcesOf(a.cmd.Process.Pid)
	if err != nil {
		return err
	}
	warmup := min(l.opts.warmup, 1) * 5
	if err := interleave(ctx, "edits", [][]trial{{hand, edited}}, l.opts.agentEdits, warmup); err != nil {
		return a.explain(err)
	}
	after, err := resourcesOf(a.cmd.Process.Pid)
	if err != nil {
		return err
	}
	count := 2 * (warmup + l.opts.agentEdits)
	figures.EditCPUMs = pointer(milliseconds(after.own-before.own) / float64(count))
	figures.Edits = append(hand.rows(), edited.rows()...)
	if err := grow(l.opts.burstPods); err != nil {
		return err
	}
	if err := a.awaitCompared(ctx, l.opts.burstPods); err != nil {
		return err
	}
	if figures.Burst, err = l.bursts(ctx, hand, edited); err != nil {
		return a.explain(err)
	}
	return nil
}

// editor is the trial of a hot ADD and a hot DEL on one of several Pods, another one each time.
type editor struct {
	lab     *lab
	ctx     context.Context
	subject *metaPlugin
	// edit does a hot operation, and returns how long it took.
	edit func(ctx context.Context, p *pod, op operation) (time.Duration, error)
	pods []*pod
	next int
	wall map[operation][]time.Duration
}

// grow starts Pods of a node until the editor has so many.
func (e *editor) grow(node string, count int) error {
	pods, err := e.lab.startPods(e.ctx, e.subject, node, len(e.pods), max(count-len(e.pods), 0))
	e.pods = append(e.pods, pods...)
	return err
}

func (e *editor) once(record bool) error {
	p := e.pods[e.next%len(e.pods)]
	e.next++
	for _, op := range []operation{hotAdd, hotDel} {
		wall, err := e.edit(e.ctx, p, op)
		if err == nil {
			err = p.expectInterfaces(1 + len(p.selected(op)))
		}
		if err != nil {
			return fmt.Errorf("%s by %s: %w", op, e.subject.name(), err)
		}
		if record {
			if e.wall == nil {
				e.wall = map[operation][]time.Duration{}
			}
			e.wall[op] = append(e.wall[op], wall)
		}
	}
	return nil
}

func (e *editor) rows() []editRow {
	var rows []editRow
	for _, op := range []operation{hotAdd, hotDel} {
		p99 := quantile(e.wall[op], 0.99)
		rows = append(rows, editRow{
			By: e.subject.name(), Operation: op, Pods: len(e.pods), Wall: summarize(e.wall[op]), P99: &p99,
		})
	}
	return rows
}

func (l *lab) editByHand(s subject) func(context.Context, *pod, operation) (time.Duration, error) {
	return func(_ context.Context, p *pod, op operation) (time.Duration, error) {
		begin := time.Now()
		err := s.do(new(cpuTimer), op, p)
		return time.Since(begin), err
	}
}

// editByAgent edits the annotation. It returns once the agent has told of it, so that nothing is
// left to do when the next measurement begins.
func (l *lab) editByAgent(ctx context.Context, p *pod, op operation) (time.Duration, error) {
	watch, err := p.watchLinks()
	if err != nil {
		return 0, err
	}
	defer watch.close()
	answered, err := l.annotate(ctx, p.podObject, p.selected(op))
	if err != nil {
		return 0, err
	}
	done, err := watch.awaitAfter(op, p.hotIfName())
	if err != nil {
		return 0, err
	}
	return done.Sub(answered), l.awaitCondition(ctx, p.podObject, len(p.selected(op)))
}
