package main

import (
	"context"
	"fmt"
	"slices"
)

// sweep compares numbers of delegates at once, by hand and by kactus, on single Pods, and by kactus in a storm, if storms are measured at all.
func (b *bed) sweep(ctx context.Context, r *report, _ []subject) error {
	if len(b.opts.sweep) == 0 {
		return nil
	}
	var byHand, variants []subject
	for _, parallel := range b.opts.sweep {
		title := fmt.Sprintf("%s, %d at once", nameKactus, parallel)
		byHand = append(byHand, alone{b, parallel})
		variants = append(variants, b.kactus(title, "main", map[string]any{"parallelDelegates": parallel}))
	}
	r.Sweep = &sweep{}
	for _, n := range slices.DeleteFunc(slices.Clone(b.opts.networks), func(n int) bool { return n < 2 }) {
		group, err := b.group(ctx, slices.Concat(byHand, variants), n, "")
		if err != nil {
			return err
		}
		if err := b.grow(ctx, fmt.Sprintf("delegates at once, %d networks", n), [][]trial{trials(group)}); err != nil {
			return err
		}
		for _, l := range group {
			r.Sweep.Networks = append(r.Sweep.Networks, l.point(n))
		}
	}
	if !b.opts.has(partStorm) {
		return nil
	}
	var err error
	r.Sweep.Storm, err = b.stormOf(ctx, variants)
	return err
}

// sweep is what was measured of kactus by how many delegates it runs at once.
type sweep struct {
	Networks []point    `json:"networks"`
	Storm    []stormRow `json:"storm"`
}
