package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// startFigures are the costs of an agent's start on a node with many records.
type startFigures struct {
	Records int `json:"records"`
	// First is the time until the first agent of the node has compared all Pods, whose conditions
	// are to be set then. Again are the times of later ones, which find nothing to do.
	First   *summary `json:"firstMs"`
	Again   *summary `json:"againMs"`
	PeakKiB *int64   `json:"peakKiB"`
	// FirstPatches are the PATCHes of statuses by the first agent, and AgainPatches those by all
	// later ones.
	FirstPatches *int `json:"firstPATCHes"`
	AgainPatches *int `json:"againPATCHes"`
}

// start measures starts of the agent, and what it costs when there is nothing to do.
func (l *lab) start(ctx context.Context, figures *agentFigures) (err error) {
	const node = "records"
	s := l.kactus(nameAgent, node, nil)
	pods, err := l.startPods(ctx, s, "seed", 0, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, endPods(s, pods), os.RemoveAll(l.ledgerDir(node))) }()
	objects, err := l.createPods(ctx, node, 0, l.opts.agentRecords)
	if err != nil {
		return err
	}
	for i, o := range objects {
		if err := pods[0].copyRecord(l.ledgerDir(node), fmt.Sprintf("container-%d", i), o); err != nil {
			return err
		}
	}
	figures.Start = &startFigures{Records: len(objects), PeakKiB: new(int64)}
	var times []time.Duration
	for i := range 1 + l.opts.agentStarts {
		progress("starts of the agent: %d of %d", i+1, 1+l.opts.agentStarts)
		var took time.Duration
		used, err := l.apiserverLoad(ctx, func() (err error) {
			took, err = l.startOnce(ctx, s, node, figures.Start)
			return err
		})
		if err != nil {
			return err
		}
		times = append(times, took)
		if statuses := countRequests(used.requests).statuses; i == 0 {
			figures.Start.FirstPatches, figures.Start.AgainPatches = &statuses, new(int)
		} else {
			*figures.Start.AgainPatches += statuses
		}
	}
	figures.Start.First, figures.Start.Again = summarize(times[:1]), summarize(times[1:])
	figures.Idle, err = l.idle(ctx, s, node, len(objects))
	return err
}

// startOnce returns the time that an agent takes until it has compared all Pods.
func (l *lab) startOnce(
	ctx context.Context, s *metaPlugin, node string, figures *startFigures,
) (took time.Duration, err error) {
	a, err := l.startAgent(s, node)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, a.stop()) }()
	if err := a.awaitCompared(ctx, figures.Records); err != nil {
		return 0, err
	}
	took = time.Since(a.began)
	used, err := resourcesOf(a.cmd.Process.Pid)
	*figures.PeakKiB = max(*figures.PeakKiB, used.peakKiB)
	return took, err
}
