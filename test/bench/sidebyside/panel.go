package main

import (
	"fmt"
	"slices"
)

// A panel has a bar for each subject of a run, on a scale of its own.
type panel struct {
	title  string
	format string // of the figures
	// figures are those of the run's subjects, in their order. nil means that it was not measured.
	figures []*float64
	// ratios tells to add the ratio to the figure of the first subject.
	ratios bool
}

// resourceNetworks is the number of networks of the ADD whose memory and requests are shown.
const resourceNetworks = 10

// nameAlone is the subject that the others are compared with.
const nameAlone = "delegates alone"

// lines returns the panels of a run, line by line, without those that have no figures.
func (r run) lines() [][]panel {
	lines := make([][]panel, 3)
	for i, operation := range []string{"ADD", "DEL"} {
		for _, n := range r.networks() {
			lines[i] = append(lines[i], r.times(operation+", "+countNetworks(n), operation, n))
		}
	}
	lines[2] = []panel{
		r.times("hot ADD", "hot ADD", 1), r.times("hot DEL", "hot DEL", 1),
		r.panel(fmt.Sprintf("peak MiB, ADD of %d", resourceNetworks), "%.1f", peakMiB),
		r.panel(fmt.Sprintf("requests, ADD of %d", resourceNetworks), "%.0f", requests),
	}
	for i := range lines {
		lines[i] = slices.DeleteFunc(lines[i], panel.empty)
	}
	return slices.DeleteFunc(lines, func(line []panel) bool { return len(line) == 0 })
}

func (r run) times(title, operation string, networks int) panel {
	p := panel{title: title, format: "%.1f", ratios: r.Subjects[0].Name == nameAlone}
	for _, s := range r.Subjects {
		var figure *float64
		if w := r.find(s.Name, operation, networks); w.Wall != nil {
			figure = &w.Wall.Median
		}
		p.figures = append(p.figures, figure)
	}
	return p
}

func (r run) panel(title, format string, figure func(row) *float64) panel {
	p := panel{title: title, format: format}
	for _, s := range r.Subjects {
		p.figures = append(p.figures, figure(r.find(s.Name, "ADD", resourceNetworks)))
	}
	return p
}

func peakMiB(w row) *float64 {
	if w.PeakKiB == nil {
		return nil
	}
	mib := float64(*w.PeakKiB) / 1024
	return &mib
}

// requests leaves out the delegates alone, which send none.
func requests(w row) *float64 {
	if w.Requests == nil || w.Subject == nameAlone {
		return nil
	}
	n := float64(*w.Requests)
	return &n
}

// networks returns the numbers of networks that were measured, in order.
func (r run) networks() []int {
	var all []int
	for _, w := range r.Operations {
		if w.Operation == "ADD" {
			all = append(all, w.Networks)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func countNetworks(n int) string {
	switch n {
	case 0:
		return "no networks"
	case 1:
		return "1 network"
	}
	return fmt.Sprint(n, " networks")
}

func (p panel) empty() bool {
	return !slices.ContainsFunc(p.figures, func(f *float64) bool { return f != nil })
}

// most returns the figure whose bar has the full length. A figure of more than three times the
// next one gets no longer bar, which would leave nothing of the others.
func (p panel) most() float64 {
	var all []float64
	for _, f := range p.figures {
		if f != nil {
			all = append(all, *f)
		}
	}
	slices.Sort(all)
	most := all[len(all)-1]
	if len(all) > 1 {
		most = min(most, 3*all[len(all)-2])
	}
	return most
}

// label returns the text of a figure.
func (p panel) label(i int) string {
	f, first := p.figures[i], p.figures[0]
	switch {
	case f == nil:
		return "-"
	case p.ratios && i > 0 && first != nil:
		return fmt.Sprintf(p.format+" (%.2f)", *f, *f / *first)
	}
	return fmt.Sprintf(p.format, *f)
}
