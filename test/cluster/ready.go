package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"time"
)

// AwaitReady waits until every node is Ready by the word of the kubelet that runs there
// now: what the one before it said, the apiserver believes for most of a minute.
func (c *Cluster) AwaitReady(ctx context.Context) error {
	for _, node := range c.nodes {
		if err := c.awaitNode(ctx, node, true); err != nil {
			return err
		}
	}
	return nil
}

// awaitNode waits until a node is registered and, if ready, Ready.
func (c *Cluster) awaitNode(ctx context.Context, node *Node, ready bool) error {
	ctx, cancel := context.WithTimeout(ctx, nodeTimeout)
	defer cancel()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		state, err := c.nodeState(ctx, node)
		if err == nil && (state.ready(node.kubeletStarted()) || !ready) {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("its condition is %+v", state)
		}
		select {
		case <-ctx.Done():
			log := filepath.Join(node.dir, string(Kubelet)+suffixLog)
			return fmt.Errorf("waiting for %s: %w (last: %w); %s ends with:\n%s", node.Name(), ctx.Err(), err, log, tailOf(log))
		case <-poll.C:
		}
	}
}

// nodeCondition is a condition of a node's status.
type nodeCondition struct {
	Type, Status, Message string
	LastHeartbeatTime     time.Time // in whole seconds
}

func (n nodeCondition) ready(since time.Time) bool {
	return n.Status == "True" && !n.LastHeartbeatTime.Before(since.Truncate(time.Second))
}

// nodeState returns a node's condition Ready.
func (c *Cluster) nodeState(ctx context.Context, node *Node) (nodeCondition, error) {
	status, answer, err := c.Do(ctx, http.MethodGet, "/api/v1/nodes/"+node.Name(), "", nil)
	if err != nil {
		return nodeCondition{}, err
	}
	if status != http.StatusOK {
		return nodeCondition{}, fmt.Errorf("the apiserver answers %d: %s", status, answer)
	}
	var object struct {
		Status struct{ Conditions []nodeCondition }
	}
	if err := json.Unmarshal(answer, &object); err != nil {
		return nodeCondition{}, fmt.Errorf("reading the node: %w", err)
	}
	for _, condition := range object.Status.Conditions {
		if condition.Type == "Ready" {
			return condition, nil
		}
	}
	return nodeCondition{}, nil
}

// healthy asks a program on the node for its health.
func (n *Node) healthy(ctx context.Context, url string) error {
	client := http.Client{Transport: &http.Transport{DialContext: n.host.dial, DisableKeepAlives: true}}
	status, answer, err := do(ctx, &client, http.MethodGet, url, nil, nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s answers %d: %s", url, status, answer)
	}
	return err
}
