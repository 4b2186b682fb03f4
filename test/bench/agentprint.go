package main

import (
	"fmt"
	"io"
)

// print writes the figures of kactus agent as tables.
func (a *agentFigures) print(w io.Writer) {
	if a == nil {
		return
	}
	a.printEdits(w)
	a.printBurst(w)
	a.printNode(w)
	a.printSimulation(w)
}

func (a *agentFigures) printEdits(w io.Writer) {
	if len(a.Edits) == 0 {
		return
	}
	line(w, fmt.Sprintf("\nedits of one Pod of %d, one at a time", a.Edits[0].Pods), "by", "median", "min", "p90",
		"p99", "edits")
	for _, e := range a.Edits {
		median, least, p90 := e.Wall.cells()
		line(w, string(e.Operation), e.By, median, least, p90, figure(e.P99), fmt.Sprint(e.Wall.Samples))
	}
	line(w, "processor time", "the agent's own process", figure(a.EditCPUMs))
}

func (a *agentFigures) printBurst(w io.Writer) {
	if len(a.Burst) == 0 {
		return
	}
	title := fmt.Sprintf("\n%d Pods at once, %d in flight", a.Burst[0].Pods, a.Burst[0].InFlight)
	line(w, title, "hot ADDs", "min", "p90", "hot DELs", "min", "p90")
	for _, b := range a.Burst {
		add, addMin, addP90 := b.Add.cells()
		del, delMin, delP90 := b.Del.cells()
		line(w, b.By, add, addMin, addP90, del, delMin, delP90)
	}
}

func (a *agentFigures) printNode(w io.Writer) {
	if a.Start == nil || a.Idle == nil {
		return
	}
	line(w, fmt.Sprintf("\nagent, %d records", a.Start.Records), "")
	line(w, "first start, until all is compared, ms", figure(median(a.Start.First)))
	line(w, "later starts, until all is compared, ms", figure(median(a.Start.Again)))
	line(w, "PATCHes of statuses at the first start", count(a.Start.FirstPatches))
	line(w, "PATCHes of statuses at all later starts", count(a.Start.AgainPatches))
	line(w, "peak RSS after the start, MiB", mebibytes(a.Start.PeakKiB))
	line(w, fmt.Sprintf("RSS after %.0f s without changes, MiB", a.Idle.Seconds), mebibytes(&a.Idle.RSSKiB))
	line(w, "  requests meanwhile", count(a.Idle.Requests))
	line(w, "  processor time meanwhile, %", hundredths(a.Idle.CPUPercent))
	line(w, "processor time of a look at all Pods, with kactus gc, ms", figure(a.Idle.RepairMs))
	line(w, "processor time with one such look every 5 minutes, %", hundredths(a.Idle.WithRepairPercent))
}

func (a *agentFigures) printSimulation(w io.Writer) {
	if len(a.Simulation) == 0 {
		return
	}
	line(w, "\nagents, simulated", "Pods", "apiserver MiB", "KiB/agent", "idle CPU %", "requests", "edits", "median",
		"p99", "CPU ms/edit", "GETs/ADD", "events/edit", "PATCHes/edit", "others")
	for _, s := range a.Simulation {
		median, _, _ := s.Wall.cells()
		line(w, fmt.Sprint(s.Agents), fmt.Sprint(s.Pods), fmt.Sprintf("%.0f", s.RSSMiB), figure(s.KiBPerAgent),
			fmt.Sprintf("%.1f", s.IdlePercent), fmt.Sprint(s.IdleRequests), fmt.Sprint(s.Edits), median, figure(s.P99),
			fmt.Sprintf("%.1f", s.CPUMs), hundredths(s.Networks), hundredths(s.Events), hundredths(s.Statuses),
			count(s.Others))
	}
}

func mebibytes(kib *int64) string {
	if kib == nil {
		return unmeasured
	}
	return fmt.Sprintf("%.1f", float64(*kib)/1024)
}

func hundredths(f *float64) string {
	if f == nil {
		return unmeasured
	}
	return fmt.Sprintf("%.2f", *f)
}
