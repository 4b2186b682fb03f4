package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// print writes the report as tables.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "%s\n%d rounds after %d of warm-up; times in ms\n", r.Machine, r.Rounds, r.Warmup)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	r.printOperations(table)
	r.printFloor(table)
	printStorm(table, "storm", r.Storm)
	if r.Growth != nil {
		printPoints(table, "networks", r.Growth.Networks)
		printPoints(table, "other Pods in the ledger", r.Growth.Entries)
		printPoints(table, "KB of the Pod's object", r.Growth.PodKB)
	}
	if r.Sweep != nil {
		printPoints(table, "networks, delegates at once", r.Sweep.Networks)
		printStorm(table, "storm, delegates at once", r.Sweep.Storm)
	}
	r.Agent.print(table)
	r.printTargets(table)
	_ = table.Flush()
}

func (r *report) printOperations(w io.Writer) {
	if len(r.Operations) == 0 {
		return
	}
	line(w, "\noperation", "n", "by", "median", "min", "p90", "cpu", "peak MiB", "requests", "fsyncs")
	for _, row := range r.Operations {
		fsyncs := unmeasured
		if row.Fsyncs != nil {
			fsyncs = fmt.Sprint(row.Fsyncs.Total)
		}
		peak := unmeasured
		if row.PeakKiB != nil {
			peak = fmt.Sprintf("%.1f", float64(*row.PeakKiB)/1024)
		}
		median, least, p90 := row.Wall.cells()
		cpu, _, _ := row.CPU.cells()
		line(w, string(row.Operation), fmt.Sprint(row.Networks), row.Subject, median, least, p90, cpu, peak,
			count(row.Requests), fsyncs)
	}
}

func (r *report) printFloor(w io.Writer) {
	if r.Floor == nil {
		return
	}
	line(w, "\nfloor of an ADD", "median", "min", "p90")
	for _, f := range []struct {
		what string
		took *summary
	}{
		{"a static process that does nothing", r.Floor.Empty},
		{"a process that gets the Pod, using only net/http", r.Floor.Get},
		{"  its TLS handshake", r.Floor.Handshake},
		{"  its response from the apiserver", r.Floor.Answer},
	} {
		median, least, p90 := f.took.cells()
		line(w, f.what, median, least, p90)
	}
}

func printStorm(w io.Writer, title string, rows []stormRow) {
	if len(rows) == 0 {
		return
	}
	line(w, fmt.Sprintf("\n%s: %d Pods, %d in flight", title, rows[0].Pods, rows[0].InFlight), "total", "all ADDs",
		"all DELs", "ADD p99", "DEL p99", "failures")
	for _, s := range rows {
		total, _, _ := s.Total.cells()
		adds, _, _ := s.Add.cells()
		dels, _, _ := s.Del.cells()
		line(w, s.Subject, total, adds, dels, figure(s.AddP99), figure(s.DelP99), count(s.Failures))
	}
}

func printPoints(w io.Writer, x string, points []point) {
	if len(points) == 0 {
		return
	}
	line(w, "\n"+x, "by", "ADD", "min", "p90", "DEL", "min", "p90")
	for _, p := range points {
		add, addMin, addP90 := p.Add.cells()
		del, delMin, delP90 := p.Del.cells()
		line(w, fmt.Sprint(p.X), p.Subject, add, addMin, addP90, del, delMin, delP90)
	}
}

func (r *report) printTargets(w io.Writer) {
	line(w, "\ntarget", "at most", "measured", "")
	for _, t := range r.Targets {
		verdict := "not measured"
		if t.Met != nil {
			verdict = map[bool]string{true: "met", false: "not met"}[*t.Met]
		}
		measured := unmeasured
		switch {
		case t.Measured != nil && t.Unit == "": // a count
			measured = fmt.Sprintf("%.0f", *t.Measured)
		case t.Measured != nil:
			measured = fmt.Sprintf("%.2f %s", *t.Measured, t.Unit)
		}
		line(w, t.What, fmt.Sprintf("%g %s", t.Most, t.Unit), measured, verdict)
	}
}

// line writes one line of a table.
func line(w io.Writer, cells ...string) { fmt.Fprintln(w, strings.Join(cells, "\t")) }

// unmeasured stands for a figure that was not measured.
const unmeasured = "-"

func (s *summary) cells() (median, least, p90 string) {
	if s == nil {
		return unmeasured, unmeasured, unmeasured
	}
	return figure(&s.Median), figure(&s.Min), figure(&s.P90)
}

func figure(f *float64) string {
	if f == nil {
		return unmeasured
	}
	return fmt.Sprintf("%.1f", *f)
}

func count(n *int) string {
	if n == nil {
		return unmeasured
	}
	return fmt.Sprint(*n)
}
