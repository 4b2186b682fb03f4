package main

import (
	"context"
	"strings"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// editRequests are requests of agents, and of the hot operations that they run.
type editRequests struct {
	// Networks are the GETs of Networks for each hot ADD; nil as the others if there is no agent.
	Networks *float64 `json:"networkGETsPerADD"`
	Events   *float64 `json:"eventsPerEdit"`
	Statuses *float64 `json:"statusPATCHesPerEdit"`
	// Others are all others, without watches, which begin anew every few minutes.
	Others *int `json:"others"`
}

// counts are numbers of requests.
type counts struct{ networks, events, statuses, others int }

func countRequests(requests []cluster.Request) (c counts) {
	for _, r := range requests {
		switch {
		case r.Method == "get" && r.Resource("networks.kaloom.com"):
			c.networks++
		case r.Method == "create" && r.Resource("events.events.k8s.io"):
			c.events++
		case r.Method == "patch" && r.Resource("pods") && strings.HasSuffix(r.URI, "/status"):
			c.statuses++
		case r.Method != "watch":
			c.others++
		}
	}
	return c
}

// countEdits counts the requests for so many edits, half of which are hot ADDs.
func countEdits(requests []cluster.Request, edits int) editRequests {
	c := countRequests(requests)
	return editRequests{
		Networks: pointer(float64(c.networks) / float64(edits/2)),
		Events:   pointer(float64(c.events) / float64(edits)),
		Statuses: pointer(float64(c.statuses) / float64(edits)),
		Others:   &c.others,
	}
}

// load is what the apiserver had to do in a time.
type load struct {
	resources
	took time.Duration
	// requests are those that others than the benchmark sent.
	requests []cluster.Request
}

// apiserverLoad returns the apiserver's load while do lasts.
func (l *lab) apiserverLoad(ctx context.Context, do func() error) (load, error) {
	mark, err := l.cp.AuditMark()
	if err != nil {
		return load{}, err
	}
	before, err := resourcesOf(l.cp.APIServerPID())
	if err != nil {
		return load{}, err
	}
	begin := time.Now()
	if err := do(); err != nil {
		return load{}, err
	}
	after, err := resourcesOf(l.cp.APIServerPID())
	if err != nil {
		return load{}, err
	}
	took := time.Since(begin)
	after.cpu -= before.cpu
	requests, err := l.requestsOfOthers(ctx, mark)
	return load{resources: after, took: took, requests: requests}, err
}
