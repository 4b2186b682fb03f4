package main

import (
	"context"
	"fmt"
	"slices"
)

// sweep compares numbers of delegates that kactus runs at once, on single Pods and in a storm.
func (b *bed) sweep(ctx context.Context, r *report, _ []subject) error {
	if len(b.opts.sweep) == 0 {
		return nil
	}
	var variants []subject
	for _, parallel := range b.opts.sweep {
		title := fmt.Sprintf("%d at once", parallel)
		variants = append(variants, b.kactus(title, "main", map[string]any{"parallelDelegates": parallel}))
	}
	r.Sweep = &sweep{}
	for _, n := range slices.DeleteFunc(slices.Clone(b.opts.networks), func(n int) bool { return n < 2 }) {
		group, err := b.group(ctx, variants, n, "")
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
	var err error
	r.Sweep.Storm, err = b.stormOf(ctx, variants)
	return err
}

// sweep is what was measured of kactus by how many delegates it runs at once.
type sweep struct {
	Networks []point    `json:"networks"`
	Storm    []stormRow `json:"storm"`
}
