package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// A stormRow is the cost of many Pods at once for one subject.
type stormRow struct {
	Subject  string `json:"subject"`
	Pods     int    `json:"pods"`
	InFlight int    `json:"inFlight"`
	// Add and Del are the times of all ADDs and of all DELs. Total is their sum.
	Add   *summary `json:"addMs"`
	Del   *summary `json:"delMs"`
	Total *summary `json:"totalMs"`
	// AddP99 and DelP99 are the 99th percentiles of single operations.
	AddP99   *float64 `json:"addP99Ms"`
	DelP99   *float64 `json:"delP99Ms"`
	Failures *int     `json:"failures"`
}

const stormNetworks = 3

// storms measures many Pods at once, added and deleted by each subject in turn.
func (l *lab) storms(ctx context.Context, r *report, subjects []subject) error {
	rows, err := l.stormOf(ctx, subjects)
	r.Storm = rows
	return err
}

func (l *lab) stormOf(ctx context.Context, subjects []subject) ([]stormRow, error) {
	var all []*storm
	var group []trial
	for _, s := range subjects {
		st := &storm{lab: l, subject: s}
		for i := range l.opts.stormPods {
			o, err := l.makePod(ctx, s, fmt.Sprintf("storm%d", i), networkNames(stormNetworks), 0)
			if err != nil {
				return nil, err
			}
			st.objects = append(st.objects, o)
		}
		all, group = append(all, st), append(group, st)
	}
	if err := interleave(ctx, "storm", [][]trial{group}, l.opts.storms, min(l.opts.warmup, 1)); err != nil {
		return nil, err
	}
	var rows []stormRow
	for _, st := range all {
		rows = append(rows, st.row())
	}
	return rows, nil
}

// storm is the trial of many Pods at once.
type storm struct {
	lab     *lab
	subject subject
	objects []podObject

	phases   [2]struct{ totals, durations []time.Duration } // of the ADDs and of the DELs
	failures int
}

func (s *storm) once(record bool) (err error) {
	var pods []*pod
	for _, o := range s.objects {
		p, err := s.lab.newPod(o)
		if err != nil {
			return err
		}
		pods = append(pods, p)
	}
	for i, op := range []operation{add, del} {
		total, durations, failed := s.all(op, pods)
		if record {
			phase := &s.phases[i]
			phase.totals, phase.durations = append(phase.totals, total), append(phase.durations, durations...)
			s.failures += failed
		}
	}
	var group errgroup.Group
	group.SetLimit(s.lab.opts.stormInFlight)
	for _, p := range pods {
		group.Go(p.remove)
	}
	return group.Wait()
}

// all runs an operation on all Pods, and then checks the number of their interfaces.
func (s *storm) all(op operation, pods []*pod) (total time.Duration, durations []time.Duration, failed int) {
	want := map[operation]int{add: 1 + stormNetworks, del: 0}[op]
	total, durations, errs := runAll(s.subject, op, pods, s.lab.opts.stormInFlight)
	for i, p := range pods {
		if err := errors.Join(errs[i], p.expectInterfaces(want)); err != nil {
			progress("storm: %s by %s failed: %v", op, s.subject.name(), err)
			failed++
		}
	}
	return total, durations, failed
}

// runAll runs an operation on all Pods, so many at once. total is the time from before the first
// until after the last.
func runAll(
	s subject, op operation, pods []*pod, inFlight int,
) (total time.Duration, durations []time.Duration, errs []error) {
	durations, errs = make([]time.Duration, len(pods)), make([]error, len(pods))
	var group sync.WaitGroup
	free := make(chan struct{}, inFlight)
	begin := time.Now()
	for i, p := range pods {
		free <- struct{}{}
		group.Go(func() {
			begin := time.Now()
			errs[i] = s.do(new(cpuTimer), op, p)
			durations[i] = time.Since(begin)
			<-free
		})
	}
	group.Wait()
	return time.Since(begin), durations, errs
}

func (s *storm) row() stormRow {
	row := stormRow{
		Subject: s.subject.name(), Pods: len(s.objects), InFlight: s.lab.opts.stormInFlight, Failures: &s.failures,
		Add: summarize(s.phases[0].totals), Del: summarize(s.phases[1].totals),
	}
	var totals []time.Duration
	for i, add := range s.phases[0].totals {
		totals = append(totals, add+s.phases[1].totals[i])
	}
	row.Total = summarize(totals)
	addP99, delP99 := quantile(s.phases[0].durations, 0.99), quantile(s.phases[1].durations, 0.99)
	row.AddP99, row.DelP99 = &addP99, &delP99
	return row
}
