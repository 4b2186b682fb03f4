package main

import "slices"

// A target is a limit that kactus should meet. Met is nil if Measured is nil.
type target struct {
	What     string   `json:"what"`
	Unit     string   `json:"unit"`
	Most     float64  `json:"most"`
	Measured *float64 `json:"measured"`
	Met      *bool    `json:"met"`
}

// evaluate compares the medians of this run with the targets.
func (r *report) evaluate() []target {
	requests := func(op operation, n int) *float64 {
		return number(r.find(nameKactus, op, n), func(k *row) *int { return k.Requests })
	}
	before := r.fsyncsBefore()
	targets := []target{
		{What: "ADD without networks, over the delegate alone", Unit: "ms", Most: 8,
			Measured: difference(r.wall(nameKactus, add, 0), r.wall(nameAlone, add, 0))},
		{What: "the same, without the process that only gets the Pod", Unit: "ms", Most: 4,
			Measured: difference(difference(r.wall(nameKactus, add, 0), r.wall(nameAlone, add, 0)), r.get())},
		{What: "DEL without networks, over the delegate alone", Unit: "ms", Most: 3,
			Measured: difference(r.wall(nameKactus, del, 0), r.wall(nameAlone, del, 0))},
		{What: "ADD of 10 networks, to delegates alone", Unit: "x", Most: 0.8,
			Measured: ratio(r.wall(nameKactus, add, 10), r.wall(nameAlone, add, 10))},
		{What: "DEL of 10 networks, to delegates alone", Unit: "x", Most: 0.4,
			Measured: ratio(r.wall(nameKactus, del, 10), r.wall(nameAlone, del, 10))},
		{What: "ADD of 10 networks by the NPWG annotation, to delegates alone", Unit: "x", Most: 1.2,
			Measured: ratio(r.wall(nameNPWG, add, 10), r.wall(nameAlone, add, 10))},
		{What: "the same with npwgParallel, to kactus's own annotation", Unit: "x", Most: 1.1,
			Measured: ratio(r.wall(nameNPWGParallel, add, 10), r.wall(nameKactus, add, 10))},
		{What: "peak RSS, ADD of 10 networks", Unit: "MiB", Most: 16, Measured: r.peak(add, 10)},
		{What: "size of the binary", Unit: "MB", Most: 16, Measured: pointer(float64(r.BinaryBytes) / 1e6)},
		{What: "requests, ADD of 10 networks", Unit: "", Most: 11, Measured: requests(add, 10)},
		{What: "requests, hot ADD", Unit: "", Most: 1, Measured: requests(hotAdd, 1)},
		{What: "requests, DEL of 10 networks", Unit: "", Most: 0, Measured: requests(del, 10)},
		{What: "requests, hot DEL", Unit: "", Most: 0, Measured: requests(hotDel, 1)},
		{What: "fsyncs of files before the first delegate, ADD of 10 networks", Unit: "", Most: 1,
			Measured: number(before, func(f *fsyncs) *int { return &f.FilesBefore })},
		{What: "fsyncs of directories before the first delegate, ADD of 10 networks", Unit: "", Most: 1,
			Measured: number(before, func(f *fsyncs) *int { return &f.DirsBefore })},
		{What: "storm, total time to delegates alone", Unit: "x", Most: 1.25,
			Measured: ratio(r.stormTotal(nameKactus), r.stormTotal(nameAlone))},
		{What: "storm, failures", Unit: "", Most: 0,
			Measured: number(r.storm(nameKactus), func(s *stormRow) *int { return s.Failures })},
		{What: "ADD, for every 1,000 other Pods in the ledger (0.5 is noise)", Unit: "ms", Most: 0.5,
			Measured: r.perEntry()},
		{What: "ADD, for every 100 KB of the Pod's object, without the process that only gets it", Unit: "ms",
			Most: 0.1, Measured: r.perPodKB()},
	}
	targets = append(targets, r.Agent.targets()...)
	for i, t := range targets {
		if t.Measured != nil {
			met := *t.Measured <= t.Most
			targets[i].Met = &met
		}
	}
	return targets
}

func (r *report) find(subject string, op operation, n int) *row {
	i := slices.IndexFunc(r.Operations, func(w row) bool {
		return w.Subject == subject && w.Operation == op && w.Networks == n
	})
	if i < 0 {
		return nil
	}
	return &r.Operations[i]
}

func (r *report) wall(subject string, op operation, n int) *float64 {
	if w := r.find(subject, op, n); w != nil && w.Wall != nil {
		return &w.Wall.Median
	}
	return nil
}

func (r *report) peak(op operation, n int) *float64 {
	if w := r.find(nameKactus, op, n); w != nil && w.PeakKiB != nil {
		return pointer(float64(*w.PeakKiB) / 1024)
	}
	return nil
}

func (r *report) fsyncsBefore() *fsyncs {
	if w := r.find(nameKactus, add, 10); w != nil {
		return w.Fsyncs
	}
	return nil
}

func (r *report) get() *float64 {
	if r.Floor == nil || r.Floor.Get == nil {
		return nil
	}
	return &r.Floor.Get.Median
}

func (r *report) storm(subject string) *stormRow {
	i := slices.IndexFunc(r.Storm, func(s stormRow) bool { return s.Subject == subject })
	if i < 0 {
		return nil
	}
	return &r.Storm[i]
}

func (r *report) stormTotal(subject string) *float64 {
	if s := r.storm(subject); s != nil && s.Total != nil {
		return &s.Total.Median
	}
	return nil
}

func (r *report) perEntry() *float64 {
	if r.Growth == nil {
		return nil
	}
	return scaled(growthRate(r.Growth.Entries, nameKactus), 1000)
}

func (r *report) perPodKB() *float64 {
	if r.Growth == nil {
		return nil
	}
	return scaled(difference(growthRate(r.Growth.PodKB, nameKactus), growthRate(r.Growth.PodKB, nameGet)), 100)
}

// growthRate returns how much a subject's ADD grows per unit of X.
func growthRate(points []point, subject string) *float64 {
	var x, y []float64
	for _, p := range points {
		if p.Subject == subject && p.Add != nil {
			x, y = append(x, float64(p.X)), append(y, p.Add.Median)
		}
	}
	if len(x) < 2 {
		return nil
	}
	return pointer(slope(x, y))
}

func pointer(f float64) *float64 { return &f }

// number returns a count, or nil if it was not measured.
func number[T any](of *T, count func(*T) *int) *float64 {
	if of == nil || count(of) == nil {
		return nil
	}
	return pointer(float64(*count(of)))
}

func difference(a, b *float64) *float64 {
	if a == nil || b == nil {
		return nil
	}
	return pointer(*a - *b)
}

func ratio(a, b *float64) *float64 {
	if a == nil || b == nil {
		return nil
	}
	return pointer(*a / *b)
}

func scaled(a *float64, factor float64) *float64 {
	if a == nil {
		return nil
	}
	return pointer(*a * factor)
}
