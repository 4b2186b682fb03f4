package main

import (
	"context"
	"fmt"
	"slices"
)

// sweep compares numbers of parallel delegates, by hand and by kactus, on single Pods and, if
// storms are measured, by kactus in a storm.
func (l *lab) sweep(ctx context.Context, r *report, _ []subject) error {
	if len(l.opts.sweep) == 0 {
		return nil
	}
	var byHand, variants []subject
	for _, parallel := range l.opts.sweep {
		title := fmt.Sprintf("%s, %d at once", nameKactus, parallel)
		byHand = append(byHand, alone{l, parallel})
		variants = append(variants, l.kactus(title, "main", map[string]any{"parallelDelegates": parallel}))
	}
	r.Sweep = &sweep{}
	for _, n := range slices.DeleteFunc(slices.Clone(l.opts.networks), func(n int) bool { return n < 2 }) {
		group, err := l.group(ctx, slices.Concat(byHand, variants), n, "")
		if err != nil {
			return err
		}
		if err := l.grow(ctx, fmt.Sprintf("delegates at once, %d networks", n), [][]trial{trials(group)}); err != nil {
			return err
		}
		for _, c := range group {
			r.Sweep.Networks = append(r.Sweep.Networks, c.point(n))
		}
	}
	if !l.opts.has(partStorm) {
		return nil
	}
	var err error
	r.Sweep.Storm, err = l.stormOf(ctx, variants)
	return err
}

// sweep has the figures by the number of parallel delegates.
type sweep struct {
	Networks []point    `json:"networks"`
	Storm    []stormRow `json:"storm"`
}
