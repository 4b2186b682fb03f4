package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"
)

// A trial is measured once a round.
type trial interface {
	// once keeps what it measured, where it counts.
	once(counts bool) error
}

// interleave goes through all trials, round after round, so that whatever else the machine does befalls all alike. The trials of one group are to be
// compared; which of them is first changes from round to round.
func interleave(ctx context.Context, what string, groups [][]trial, rounds, warmup int) error {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the benchmark's own garbage is collected between the trials
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

// life is the trial of a Pod's life: ADD and DEL, or, with a network that comes and goes while it runs, hot ADD and hot DEL.
type life struct {
	bed     *bed
	subject subject
	object  podObject
	samples
}

// samples are what a trial measured, by verb.
type samples struct{ wall, cpu map[verb][]time.Duration }

func (b *bed) life(s subject, o podObject) *life {
	return &life{bed: b, subject: s, object: o, samples: samples{map[verb][]time.Duration{}, map[verb][]time.Duration{}}}
}

func (l *life) once(counts bool) error {
	return l.live(func(v verb, do func(runner) error) error {
		var k clock
		begin := time.Now()
		err := do(&k)
		wall := time.Since(begin)
		if counts {
			l.wall[v], l.cpu[v] = append(l.wall[v], wall), append(l.cpu[v], k.cpu)
		}
		return err
	})
}

// live leads a sandbox of the Pod through its verbs, and gives those that are to be measured to measure. It sees to it that each did what it was there for.
func (l *life) live(measure func(v verb, do func(runner) error) error) error {
	p, err := l.bed.newPod(l.object)
	if err != nil {
		return err
	}
	before := measure
	if l.object.hot != "" {
		before = func(_ verb, do func(runner) error) error { return do(new(clock)) }
	}
	steps := []step{{add, before, 1 + len(p.networks)}, {hotAdd, measure, 2 + len(p.networks)}, {hotDel, measure, 1 + len(p.networks)}, {del, before, 0}}
	for _, s := range steps {
		if s.verb.hot() && l.object.hot == "" {
			continue
		}
		if err = l.take(p, s); err != nil {
			break
		}
	}
	return errors.Join(err, p.remove())
}

// step is one verb of a life, and how many devices there are after it.
type step struct {
	verb    verb
	measure func(v verb, do func(runner) error) error
	devices int
}

func (l *life) take(p *pod, s step) error {
	if err := s.measure(s.verb, func(r runner) error { return l.subject.do(r, s.verb, p) }); err != nil {
		return fmt.Errorf("%s of %d networks by %s: %w", s.verb, len(p.networks), l.subject.name(), err)
	}
	devices, err := p.countDevices()
	if err == nil && devices != s.devices {
		err = fmt.Errorf("%s of %d networks by %s leaves %d devices; want %d", s.verb, len(p.networks), l.subject.name(), devices, s.devices)
	}
	return err
}
