package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"time"
)

// AwaitReady waits until the current kubelet of every node has reported the node Ready. The report
// of an earlier kubelet does not count: the apiserver keeps that for most of a minute.
func (c *Cluster) AwaitReady(ctx context.Context) error {
	for _, node := range c.nodes {
		if err := c.awaitNode(ctx, node, true); err != nil {
			return err
		}
	}
	return nil
}

// awaitNode waits until a node is registered and, if ready is true, Ready.
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
			err = fmt.Errorf("condition %+v", state)
		}
		select {
		case <-ctx.Done():
			log := filepath.Join(node.dir, string(Kubelet)+suffixLog)
			return fmt.Errorf("waiting for %s: %w (last: %w); the log %s ends with:\n%s", node.Name(), ctx.Err(), err,
				log, tailOf(log))
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

// nodeState returns a node's condition of type Ready.
func (c *Cluster) nodeState(ctx context.Context, node *Node) (nodeCondition, error) {
	status, answer, err := c.Do(ctx, http.MethodGet, "/api/v1/nodes/"+node.Name(), "", nil)
	if err != nil {
		return nodeCondition{}, err
	}
	if status != http.StatusOK {
		return nodeCondition{}, fmt.Errorf("reading %s: status %d: %s", node.Name(), status, answer)
	}
	var object struct {
		Status struct{ Conditions []nodeCondition }
	}
	if err := json.Unmarshal(answer, &object); err != nil {
		return nodeCondition{}, fmt.Errorf("parsing the status of %s: %w", node.Name(), err)
	}
	for _, condition := range object.Status.Conditions {
		if condition.Type == "Ready" {
			return condition, nil
		}
	}
	return nodeCondition{}, nil
}

// healthy returns nil if the health endpoint of a program on the node responds with status 200.
func (n *Node) healthy(ctx context.Context, url string) error {
	client := http.Client{Transport: &http.Transport{DialContext: n.host.dial, DisableKeepAlives: true}}
	status, answer, err := do(ctx, &client, http.MethodGet, url, nil, nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s: status %d: %s", url, status, answer)
	}
	return err
}
