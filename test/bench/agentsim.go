package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/agent"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
)

// A simulationRow is what many agents cost one apiserver. They are real, each with a connection and
// a watch of its own, on simulated nodes.
type simulationRow struct {
	Agents int `json:"agents"`
	Pods   int `json:"pods"`
	// RSSMiB is that of the apiserver, with these agents.
	RSSMiB float64 `json:"apiserverRSSMiB"`
	// KiBPerAgent is how much more memory the apiserver has in use for each agent, after a garbage
	// collection.
	KiBPerAgent *float64 `json:"kiBPerAgent"`
	// IdlePercent is the apiserver's processor time while nothing changes, of one processor's.
	IdlePercent  float64 `json:"idleCPUPercent"`
	IdleRequests int     `json:"idleRequests"`
	// Edits are half hot ADDs and half hot DELs, at a fixed rate on all nodes together.
	Edits int      `json:"edits"`
	Wall  *summary `json:"editMs"`
	P99   *float64 `json:"editP99Ms"`
	// CPUMs is the apiserver's processor time for each edit, with that for the PATCH of the
	// annotation.
	CPUMs float64 `json:"cpuMsPerEdit"`
	editRequests
}

// A simulation is an apiserver with simulated nodes.
type simulation struct {
	lab     *lab
	netconf agent.Netconf
	nodes   []*simulatedNode
	running int // of the nodes
	agents  sync.WaitGroup
}

type simulatedNode struct {
	name    string
	pods    []podObject
	standIn *standIn
}

// simulate measures more and more agents.
func (l *lab) simulate(ctx context.Context, figures *agentFigures) error {
	confDir, err := l.agentConfDir(l.kactus(nameAgent, "simulated", nil), "simulated")
	if err != nil {
		return err
	}
	netconf, err := (&agent.Node{ConfDir: confDir}).Netconf()
	if err != nil {
		return err
	}
	s := &simulation{lab: l, netconf: netconf}
	agents, stop := context.WithCancel(ctx)
	defer s.agents.Wait()
	defer stop()
	for i, count := range l.opts.simulated {
		progress("simulation: %d nodes", count)
		if err := s.grow(ctx, count); err != nil {
			return err
		}
		if i == 0 { // the PATCHes alone
			row, err := s.measure(ctx)
			if err != nil {
				return err
			}
			figures.Simulation = append(figures.Simulation, row)
		}
		before, err := l.apiserverMemory(ctx)
		if err != nil {
			return err
		}
		more := count - s.running
		if err := s.startAgents(agents); err != nil {
			return err
		}
		row, err := s.measure(ctx)
		if err != nil {
			return err
		}
		after, err := l.apiserverMemory(ctx)
		if err != nil {
			return err
		}
		row.KiBPerAgent = pointer((after - before) / 1024 / float64(more))
		figures.Simulation = append(figures.Simulation, row)
	}
	return nil
}

// grow creates the Pods of more nodes, until there are so many.
func (s *simulation) grow(ctx context.Context, count int) error {
	for i := len(s.nodes); i < count; i++ {
		name := fmt.Sprintf("simulated-%d", i)
		pods, err := s.lab.createPods(ctx, name, 0, s.lab.opts.simulatedPods)
		if err != nil {
			return err
		}
		s.nodes = append(s.nodes, &simulatedNode{name: name, pods: pods, standIn: s.lab.newStandIn(s.netconf, pods)})
	}
	return nil
}

// startAgents starts the agents of the nodes that have none yet, and returns once they have
// compared all Pods.
func (s *simulation) startAgents(ctx context.Context) error {
	var group errgroup.Group
	group.SetLimit(inFlight)
	for _, n := range s.nodes[s.running:] {
		group.Go(func() error { return s.startAgent(ctx, n) })
	}
	s.running = len(s.nodes)
	return group.Wait()
}

func (s *simulation) startAgent(ctx context.Context, n *simulatedNode) error {
	const limit, pause = 2 * time.Minute, 10 * time.Millisecond
	client, err := kube.New(s.lab.kubeconfig, "kactus-agent/"+n.name)
	if err != nil {
		return err
	}
	n.standIn.API = client
	a := &agent.Agent{
		Options: agent.Options{Node: n.name, Repair: true, RepairEvery: time.Hour},
		API:     n.standIn, Ledger: n.standIn, Kernel: n.standIn, Kactus: n.standIn,
		Metrics: agent.NewMetrics(), Log: slog.New(slog.DiscardHandler),
	}
	pods, err := client.WatchPods(n.name, a.Changed, a.PodsFollowed)
	if err != nil {
		return err
	}
	a.Pods = pods
	a.Init()
	s.agents.Go(func() { pods.Run(ctx) })
	s.agents.Go(func() { a.Run(ctx) })
	for begin := time.Now(); time.Since(begin) < limit && ctx.Err() == nil; time.Sleep(pause) {
		if n.standIn.reported.Load() == int64(len(n.pods)) {
			return nil
		}
	}
	return fmt.Errorf("starting the agent of %s: %w", n.name, errors.Join(errNoEnd, ctx.Err(), a.Health()))
}

// measure measures the apiserver while nothing changes, and while annotations are edited.
func (s *simulation) measure(ctx context.Context) (simulationRow, error) {
	row := simulationRow{Agents: s.running, Pods: len(s.nodes) * s.lab.opts.simulatedPods}
	if _, err := s.lab.apiserverMemory(ctx); err != nil { // what the start left is not part of the figures
		return row, err
	}
	window := s.lab.opts.simulatedTime
	progress("simulation: %d agents, without changes", s.running)
	quiet, err := s.lab.apiserverLoad(ctx, func() error { return pauseFor(ctx, window) })
	if err != nil {
		return row, err
	}
	idle := quiet.cpu.Seconds() / quiet.took.Seconds()
	row.IdlePercent, row.RSSMiB = 100*idle, float64(quiet.rssKiB)/1024
	row.IdleRequests = *countEdits(quiet.requests, 2).Others
	progress("simulation: %d agents, edits", s.running)
	var walls []time.Duration
	busy, err := s.lab.apiserverLoad(ctx, func() (err error) {
		walls, err = s.edit(ctx, window)
		return err
	})
	if err != nil {
		return row, err
	}
	row.Edits = s.edits()
	row.CPUMs = 1000 * (busy.cpu.Seconds() - idle*busy.took.Seconds()) / float64(row.Edits)
	if s.running > 0 {
		row.Wall, row.P99 = summarize(walls), pointer(quantile(walls, 0.99))
		row.editRequests = countEdits(busy.requests, row.Edits)
	}
	return row, nil
}

// edits returns how many edits there are in one measurement: two of each Pod at most.
func (s *simulation) edits() int {
	atRate := int(s.lab.opts.simulatedTime.Seconds() * s.lab.opts.simulatedRate)
	return 2 * max(min(atRate/2, len(s.nodes)*s.lab.opts.simulatedPods), 1)
}

// edit edits the annotations of Pods, another node's each time, at a fixed rate: first a network
// more for each of them, then one less. It returns the times from the answer to the PATCH until the
// hot operation has ended.
func (s *simulation) edit(ctx context.Context, window time.Duration) ([]time.Duration, error) {
	count := s.edits()
	tick := time.NewTicker(window / time.Duration(count))
	defer tick.Stop()
	walls := make([]time.Duration, count)
	for half, op := range []operation{hotAdd, hotDel} {
		var group errgroup.Group
		for i := range count / 2 {
			<-tick.C
			group.Go(func() (err error) {
				walls[half*count/2+i], err = s.editOne(ctx, i, op)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
	}
	return walls, s.settle(ctx, count/2)
}

func (s *simulation) pod(i int) (*simulatedNode, podObject) {
	n := s.nodes[i%len(s.nodes)]
	return n, n.pods[i/len(s.nodes)%len(n.pods)]
}

func (s *simulation) editOne(ctx context.Context, i int, op operation) (time.Duration, error) {
	const limit = time.Minute
	n, p := s.pod(i)
	answered, err := s.lab.annotate(ctx, p, p.selected(op))
	if err != nil || s.running == 0 {
		return 0, err
	}
	select {
	case done := <-n.standIn.done[p.name]:
		return done.Sub(answered), nil
	case <-time.After(limit):
		return 0, fmt.Errorf("waiting for the %s of the Pod %s: %w", op, p.name, errNoEnd)
	}
}

// settle waits until the agents have told of all edits. An event may come after the condition.
func (s *simulation) settle(ctx context.Context, edited int) error {
	if s.running == 0 {
		return nil
	}
	for i := range edited {
		if _, p := s.pod(i); i >= edited-inFlight {
			if err := s.lab.awaitCondition(ctx, p, len(p.networks)); err != nil {
				return err
			}
		}
	}
	const late = 300 * time.Millisecond
	return pauseFor(ctx, late)
}

func pauseFor(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

var heapMetric = regexp.MustCompile(`(?m)^go_memstats_(?:heap|stack)_inuse_bytes (\S+)$`)

// apiserverMemory returns the bytes that the apiserver has in use, after a garbage collection.
func (l *lab) apiserverMemory(ctx context.Context) (float64, error) {
	for range 2 { // the second one frees what has finalizers
		if _, err := l.read(ctx, "/debug/pprof/heap?gc=1"); err != nil {
			return 0, err
		}
	}
	metrics, err := l.read(ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	found := heapMetric.FindAllSubmatch(metrics, -1)
	if len(found) != 2 {
		return 0, errors.New("reading the apiserver's memory: not in its metrics")
	}
	heap, errHeap := strconv.ParseFloat(string(found[0][1]), 64)
	stack, errStack := strconv.ParseFloat(string(found[1][1]), 64)
	return heap + stack, errors.Join(errHeap, errStack)
}

func (l *lab) read(ctx context.Context, path string) ([]byte, error) {
	status, answer, err := l.cp.Do(ctx, http.MethodGet, path, "", nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("GET %s: status %d", path, status)
	}
	return answer, err
}
