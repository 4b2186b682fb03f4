package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// idleFigures are the costs of an agent while nothing changes, on a node with many records.
type idleFigures struct {
	Records  int     `json:"records"`
	Seconds  float64 `json:"seconds"`
	Requests *int    `json:"requests"`
	// CPUPercent is the processor time, of one processor's.
	CPUPercent *float64 `json:"cpuPercent"`
	// RepairMs is the processor time of one look at all Pods and at what ended containers left,
	// with that of kactus gc.
	RepairMs *float64 `json:"repairCPUMs"`
	// WithRepairPercent is the processor time with a look each five minutes, the default.
	WithRepairPercent *float64 `json:"cpuPercentWithRepair"`
	RSSKiB            int64    `json:"rssKiB"`
}

// idle measures the agent while it has nothing to do, and while it only looks again and again.
func (l *lab) idle(ctx context.Context, s *metaPlugin, node string, records int) (*idleFigures, error) {
	const byDefault, often = 5 * time.Minute, 2 * time.Second
	window := l.opts.agentIdle
	without, err := l.idleOnce(ctx, s, node, records, window)
	if err != nil {
		return nil, err
	}
	looks := max(int(window/often/4), 1)
	looking := time.Duration(looks)*often + often/2
	with, err := l.idleOnce(ctx, s, node, records, looking, "-repair-every", often.String())
	if err != nil {
		return nil, err
	}
	share := without.cpu.Seconds() / window.Seconds()
	look := max(0, with.cpu.Seconds()-share*looking.Seconds()) / float64(looks)
	return &idleFigures{
		Records: records, Seconds: window.Seconds(), Requests: &without.requests, RSSKiB: without.rssKiB,
		CPUPercent:        pointer(100 * share),
		RepairMs:          pointer(1000 * look),
		WithRepairPercent: pointer(100 * (share + look/byDefault.Seconds())),
	}, nil
}

// idleUsage is what an agent used in a time without changes.
type idleUsage struct {
	resources
	requests int
}

func (l *lab) idleOnce(
	ctx context.Context, s *metaPlugin, node string, records int, window time.Duration, args ...string,
) (u idleUsage, err error) {
	progress("agent without changes: %s", window)
	a, err := l.startAgent(s, node, args...)
	if err != nil {
		return u, err
	}
	defer func() { err = errors.Join(err, a.stop()) }()
	if err := a.awaitCompared(ctx, records); err != nil {
		return u, err
	}
	mark, err := l.cp.AuditMark()
	if err != nil {
		return u, err
	}
	before, err := resourcesOf(a.cmd.Process.Pid)
	if err != nil {
		return u, err
	}
	select {
	case <-ctx.Done():
		return u, ctx.Err()
	case exit := <-a.exited:
		return u, a.explain(fmt.Errorf("the agent has ended: %w", exit))
	case <-time.After(window):
	}
	if u.resources, err = resourcesOf(a.cmd.Process.Pid); err != nil {
		return u, err
	}
	u.cpu -= before.cpu
	u.requests, err = l.requests(ctx, mark)
	return u, err
}
