package main

import (
	"context"
	"fmt"
	"os/exec"
)

// agentFigures are what kactus agent costs.
type agentFigures struct {
	Edits []editRow `json:"edits"`
	// EditCPUMs is the processor time of the agent's own process for an edit, without kactus.
	EditCPUMs  *float64        `json:"editCPUMs"`
	Burst      []burstRow      `json:"burst"`
	Start      *startFigures   `json:"start"`
	Idle       *idleFigures    `json:"idle"`
	Simulation []simulationRow `json:"simulation"`
}

const (
	nameByHand = "kactus by hand"
	nameAgent  = "kactus agent"
)

// agentWorkers is how many Pods the agent works on at once.
const agentWorkers = 8

// agent measures kactus agent: on one node, with real interfaces, and by simulation, on many nodes.
func (l *lab) agent(ctx context.Context, r *report, _ []subject) error {
	binary := l.kactus(nameKactus, "main", nil).binary
	if err := exec.CommandContext(ctx, binary, "agent", "-h").Run(); err != nil {
		progress("agent: not measured: %s has no subcommand agent", binary)
		return nil
	}
	r.Agent = &agentFigures{}
	for _, measure := range []func(context.Context, *agentFigures) error{l.edits, l.start, l.simulate} {
		if err := measure(ctx, r.Agent); err != nil {
			return fmt.Errorf("agent: %w", err)
		}
	}
	return nil
}
