package main

import "slices"

// targets returns the targets of kactus agent. What was not measured has no figure.
func (a *agentFigures) targets() []target {
	if a == nil {
		a = &agentFigures{}
	}
	start, idle, many := a.Start, a.Idle, a.most()
	if start == nil {
		start = &startFigures{}
	}
	if idle == nil {
		idle = &idleFigures{}
	}
	targets := []target{
		{What: "agent, edit to interface, over the hot ADD by hand", Unit: "ms", Most: 50, Measured: a.over(hotAdd)},
		{What: "agent, edit to interface, 99th percentile", Unit: "ms", Most: 500, Measured: a.p99(hotAdd)},
		{What: "agent, edit to no interface, over the hot DEL by hand", Unit: "ms", Most: 50, Measured: a.over(hotDel)},
		{What: "agent, edit to no interface, 99th percentile", Unit: "ms", Most: 500, Measured: a.p99(hotDel)},
		{What: "agent, many edits at once, to the hot ADDs by hand", Unit: "x", Most: 1.3,
			Measured: ratio(a.burst(nameAgent), a.burst(nameByHand))},
		{What: "agent, first start until all is compared", Unit: "ms", Most: 2000,
			Measured: median(start.First)},
		{What: "agent, start until all is compared", Unit: "ms", Most: 2000, Measured: median(start.Again)},
		{What: "agent, peak RSS after the start", Unit: "MiB", Most: 40},
		{What: "agent, PATCHes of statuses at the start, where they are right", Unit: "", Most: 0,
			Measured: number(start, func(s *startFigures) *int { return s.AgainPatches })},
		{What: "agent, requests while nothing changes", Unit: "", Most: 0,
			Measured: number(idle, func(i *idleFigures) *int { return i.Requests })},
		{What: "agent, processor time while nothing changes", Unit: "%", Most: 0.1, Measured: idle.CPUPercent},
		{What: "agent, GETs of Networks for a hot ADD, most agents", Unit: "x", Most: 1, Measured: many.Networks},
		{What: "agent, events for an edit, most agents", Unit: "x", Most: 1, Measured: many.Events},
		{What: "agent, PATCHes of a status for an edit, most agents", Unit: "x", Most: 1, Measured: many.Statuses},
		{What: "agent, other requests, most agents", Unit: "", Most: 0,
			Measured: number(&many.editRequests, func(e *editRequests) *int { return e.Others })},
	}
	if start.PeakKiB != nil {
		targets[7].Measured = pointer(float64(*start.PeakKiB) / 1024)
	}
	return targets
}

// most returns the row of the largest simulation.
func (a *agentFigures) most() simulationRow {
	if len(a.Simulation) == 0 {
		return simulationRow{}
	}
	return a.Simulation[len(a.Simulation)-1]
}

func (a *agentFigures) edit(by string, op operation) *editRow {
	i := slices.IndexFunc(a.Edits, func(e editRow) bool { return e.By == by && e.Operation == op })
	if i < 0 {
		return &editRow{}
	}
	return &a.Edits[i]
}

// over returns how much longer than by hand an operation takes by the agent.
func (a *agentFigures) over(op operation) *float64 {
	return difference(median(a.edit(nameAgent, op).Wall), median(a.edit(nameByHand, op).Wall))
}

func (a *agentFigures) p99(op operation) *float64 { return a.edit(nameAgent, op).P99 }

func (a *agentFigures) burst(by string) *float64 {
	i := slices.IndexFunc(a.Burst, func(b burstRow) bool { return b.By == by })
	if i < 0 {
		return nil
	}
	return median(a.Burst[i].Add)
}

func median(s *summary) *float64 {
	if s == nil {
		return nil
	}
	return &s.Median
}
