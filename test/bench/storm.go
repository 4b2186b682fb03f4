package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// stormRow is what many Pods at once cost one subject.
type stormRow struct {
	Subject  string `json:"subject"`
	Pods     int    `json:"pods"`
	InFlight int    `json:"inFlight"`
	// Add, Del and Total are the time until all Pods were there, until they were gone again, and both.
	Add   *summary `json:"addMs"`
	Del   *summary `json:"delMs"`
	Total *summary `json:"totalMs"`
	// AddP99 and DelP99 are of single verbs.
	AddP99   *float64 `json:"addP99Ms"`
	DelP99   *float64 `json:"delP99Ms"`
	Failures *int     `json:"failures"`
}

const stormNetworks = 3

// storms lets each subject in turn, several times, make and unmake many Pods at once.
func (b *bed) storms(ctx context.Context, r *report, subjects []subject) error {
	rows, err := b.stormOf(ctx, subjects)
	r.Storm = rows
	return err
}

func (b *bed) stormOf(ctx context.Context, subjects []subject) ([]stormRow, error) {
	var all []*storm
	var group []trial
	for _, s := range subjects {
		st := &storm{bed: b, subject: s}
		for i := range b.opts.stormPods {
			o, err := b.makePod(ctx, s, fmt.Sprintf("storm%d", i), networkNames(stormNetworks), 0)
			if err != nil {
				return nil, err
			}
			st.objects = append(st.objects, o)
		}
		all, group = append(all, st), append(group, st)
	}
	if err := interleave(ctx, "storm", [][]trial{group}, b.opts.storms, min(b.opts.warmup, 1)); err != nil {
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
	bed     *bed
	subject subject
	objects []podObject

	phases   [2]struct{ totals, verbs []time.Duration } // of the ADDs, and of the DELs
	failures int
}

func (s *storm) once(counts bool) (err error) {
	var pods []*pod
	for _, o := range s.objects {
		p, err := s.bed.newPod(o)
		if err != nil {
			return err
		}
		pods = append(pods, p)
	}
	for i, v := range []verb{add, del} {
		total, verbs, failed := s.all(v, pods)
		if counts {
			phase := &s.phases[i]
			phase.totals, phase.verbs = append(phase.totals, total), append(phase.verbs, verbs...)
			s.failures += failed
		}
	}
	var group errgroup.Group
	group.SetLimit(s.bed.opts.stormInFlight)
	for _, p := range pods {
		group.Go(p.remove)
	}
	return group.Wait()
}

// all runs a verb on all Pods, and then looks whether it did what it said.
func (s *storm) all(v verb, pods []*pod) (total time.Duration, verbs []time.Duration, failed int) {
	verbs, errs := make([]time.Duration, len(pods)), make([]error, len(pods))
	var group sync.WaitGroup
	free := make(chan struct{}, s.bed.opts.stormInFlight)
	begin := time.Now()
	for i, p := range pods {
		free <- struct{}{}
		group.Go(func() {
			begin := time.Now()
			errs[i] = s.subject.do(new(clock), v, p)
			verbs[i] = time.Since(begin)
			<-free
		})
	}
	group.Wait()
	total = time.Since(begin)
	want := map[verb]int{add: 1 + stormNetworks, del: 0}[v]
	for i, p := range pods {
		devices, err := p.countDevices()
		if err == nil && devices != want {
			err = fmt.Errorf("%d devices, not %d", devices, want)
		}
		if err := errors.Join(errs[i], err); err != nil {
			progress("storm: %s by %s failed: %v", v, s.subject.name(), err)
			failed++
		}
	}
	return total, verbs, failed
}

func (s *storm) row() stormRow {
	row := stormRow{
		Subject: s.subject.name(), Pods: len(s.objects), InFlight: s.bed.opts.stormInFlight, Failures: &s.failures,
		Add: summarize(s.phases[0].totals), Del: summarize(s.phases[1].totals),
	}
	var totals []time.Duration
	for i, add := range s.phases[0].totals {
		totals = append(totals, add+s.phases[1].totals[i])
	}
	row.Total = summarize(totals)
	addP99, delP99 := quantile(s.phases[0].verbs, 0.99), quantile(s.phases[1].verbs, 0.99)
	row.AddP99, row.DelP99 = &addP99, &delP99
	return row
}
