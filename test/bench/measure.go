package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"
)

// A trial is something to measure once in every round.
type trial interface {
	// once runs the trial. It keeps the measurements if record is true.
	once(record bool) error
}

// interleave runs all trials in every round, so that other load on the machine affects all of them
// alike. The trials of a group are compared with each other; the one that comes first changes from
// round to round.
func interleave(ctx context.Context, what string, groups [][]trial, rounds, warmup int) error {
	// Collect the benchmark's own garbage only between the trials.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for round := range warmup + rounds {
		progress("%s: round %d of %d", what, round+1, warmup+rounds)
		for _, group := range groups {
			for i := range group {
				runtime.GC()
				if err := errors.Join(ctx.Err(), group[(i+round)%len(group)].once(round >= warmup)); err != nil {
					return fmt.Errorf("%s: %w", what, err)
				}
			}
		}
	}
	return nil
}

// lifecycle is the trial of a Pod's lifecycle: ADD and DEL or, for a Pod with a hot network, hot
// ADD and hot DEL in between.
type lifecycle struct {
	lab     *lab
	subject subject
	object  podObject
	samples
}

// samples are the measurements of a trial, by operation.
type samples struct{ wall, cpu map[operation][]time.Duration }

func (l *lab) lifecycle(s subject, o podObject) *lifecycle {
	none := samples{wall: map[operation][]time.Duration{}, cpu: map[operation][]time.Duration{}}
	return &lifecycle{lab: l, subject: s, object: o, samples: none}
}

func (c *lifecycle) once(record bool) error {
	return c.run(func(op operation, do func(runner) error) error {
		var timer cpuTimer
		begin := time.Now()
		err := do(&timer)
		wall := time.Since(begin)
		if record {
			c.wall[op], c.cpu[op] = append(c.wall[op], wall), append(c.cpu[op], timer.cpu)
		}
		return err
	})
}

// run takes a sandbox of the Pod through its operations, passes those of interest to measure, and
// checks the number of interfaces after each.
func (c *lifecycle) run(measure func(op operation, do func(runner) error) error) error {
	p, err := c.lab.newPod(c.object)
	if err != nil {
		return err
	}
	before := measure
	if c.object.hot != "" {
		before = func(_ operation, do func(runner) error) error { return do(new(cpuTimer)) }
	}
	n := len(p.networks)
	steps := []step{{add, before, 1 + n}, {hotAdd, measure, 2 + n}, {hotDel, measure, 1 + n}, {del, before, 0}}
	for _, s := range steps {
		if s.operation.hot() && c.object.hot == "" {
			continue
		}
		if err = c.step(p, s); err != nil {
			break
		}
	}
	return errors.Join(err, p.remove())
}

// A step is one operation of a lifecycle, and the number of interfaces after it.
type step struct {
	operation  operation
	measure    func(op operation, do func(runner) error) error
	interfaces int
}

func (c *lifecycle) step(p *pod, s step) error {
	if err := s.measure(s.operation, func(r runner) error { return c.subject.do(r, s.operation, p) }); err != nil {
		return fmt.Errorf("%s of %d networks by %s: %w", s.operation, len(p.networks), c.subject.name(), err)
	}
	if err := p.expectInterfaces(s.interfaces); err != nil {
		return fmt.Errorf("%s of %d networks by %s leaves %w", s.operation, len(p.networks), c.subject.name(), err)
	}
	return nil
}
