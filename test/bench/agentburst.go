package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// A burstRow is the time of hot operations on many Pods at once: by hand, from before the first
// until after the last; by the agent, from the first answer to a PATCH of an annotation until all
// interfaces are in the Pods, or gone.
type burstRow struct {
	By       string   `json:"by"`
	Pods     int      `json:"pods"`
	InFlight int      `json:"inFlight"`
	Add      *summary `json:"addMs"`
	Del      *summary `json:"delMs"`
}

// bursts measures hot operations on all Pods of both editors at once.
func (l *lab) bursts(ctx context.Context, hand, edited *editor) ([]burstRow, error) {
	byHand := &burst{editor: hand, all: l.burstByHand(hand)}
	byAgent := &burst{editor: edited, all: l.burstByAgent}
	err := interleave(ctx, "many edits at once", [][]trial{{byHand, byAgent}}, l.opts.bursts, min(l.opts.warmup, 1))
	return []burstRow{byHand.row(), byAgent.row()}, err
}

// burst is the trial of a hot ADD and a hot DEL on all Pods of an editor at once.
type burst struct {
	*editor
	all  func(ctx context.Context, pods []*pod, op operation) (time.Duration, error)
	wall map[operation][]time.Duration
}

func (b *burst) once(record bool) error {
	for _, op := range []operation{hotAdd, hotDel} {
		wall, err := b.all(b.ctx, b.pods, op)
		for _, p := range b.pods {
			err = errors.Join(err, p.expectInterfaces(1+len(p.selected(op))))
		}
		if err != nil {
			return fmt.Errorf("%s of all Pods by %s: %w", op, b.subject.name(), err)
		}
		if record {
			if b.wall == nil {
				b.wall = map[operation][]time.Duration{}
			}
			b.wall[op] = append(b.wall[op], wall)
		}
	}
	return nil
}

func (b *burst) row() burstRow {
	return burstRow{
		By: b.subject.name(), Pods: len(b.pods), InFlight: agentWorkers,
		Add: summarize(b.wall[hotAdd]), Del: summarize(b.wall[hotDel]),
	}
}

func (l *lab) burstByHand(e *editor) func(context.Context, []*pod, operation) (time.Duration, error) {
	return func(_ context.Context, pods []*pod, op operation) (time.Duration, error) {
		total, _, errs := runAll(e.subject, op, pods, agentWorkers)
		return total, errors.Join(errs...)
	}
}

// burstByAgent returns once the agent has told of all edits.
func (l *lab) burstByAgent(ctx context.Context, pods []*pod, op operation) (time.Duration, error) {
	answered, done := make([]time.Time, len(pods)), make([]time.Time, len(pods))
	watches := make([]*linkWatch, len(pods))
	for i, p := range pods {
		watch, err := p.watchLinks()
		if err != nil {
			return 0, err
		}
		defer watch.close()
		watches[i] = watch
	}
	var seeing, patching errgroup.Group
	patching.SetLimit(inFlight)
	for i, p := range pods {
		seeing.Go(func() (err error) {
			done[i], err = watches[i].awaitAfter(op, p.hotIfName())
			return err
		})
		patching.Go(func() (err error) {
			answered[i], err = l.annotate(ctx, p.podObject, p.selected(op))
			return err
		})
	}
	if err := errors.Join(patching.Wait(), seeing.Wait()); err != nil {
		return 0, err
	}
	for _, p := range pods {
		if err := l.awaitCondition(ctx, p.podObject, len(p.selected(op))); err != nil {
			return 0, err
		}
	}
	return slices.MaxFunc(done, time.Time.Compare).Sub(slices.MinFunc(answered, time.Time.Compare)), nil
}
