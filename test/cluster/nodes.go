package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// NodesOptions say what cluster to start. The zero value is one with two nodes that have
// no CNI configuration, in a temporary folder, built if need be.
type NodesOptions struct {
	// Options are those of the control plane. Service account admission is always on.
	Options
	// Nodes is how many there are; 0 means 2.
	Nodes int
	// DefaultCNI gives every node a CNI configuration, so that it is Ready at once and
	// Pods on different nodes reach each other. Without it a node stays NotReady until
	// something writes one to its /etc/cni/net.d.
	DefaultCNI bool
	// Plugins is the folder of the CNI plugins that every node gets a copy of in its
	// /opt/cni/bin; empty means those of go.mod's tool lines, built if need be.
	Plugins string
	// ContainerdEnv is added to the environment of each containerd, which passes it on to
	// the CNI plugins.
	ContainerdEnv []string
}

// Cluster is a control plane with controllers, and nodes. Its methods are safe for
// concurrent use.
type Cluster struct {
	*ControlPlane
	options      NodesOptions
	nodes        []*Node
	nodeBinaries []string      // what a node has in its /opt/bin
	users        map[Part]User // of the controllers
	nodeUsers    []User        // of the kubelets
	controllers  controllers
}

// StartNodes starts a cluster and returns once Pods can be created and every node is
// registered, with DefaultCNI also Ready. It builds what is not built yet, which can take
// minutes: ctx bounds all of that, but not the life of the cluster, which lasts until Stop
// or until the calling process ends. It needs root, Debian's packages runc and
// busybox-static, and util-linux.
func StartNodes(ctx context.Context, options NodesOptions) (*Cluster, error) {
	return startNodes(ctx, options, false)
}

func startNodes(ctx context.Context, options NodesOptions, detached bool) (*Cluster, error) {
	if options.Nodes == 0 {
		options.Nodes = 2
	}
	if options.Nodes < 0 || options.Nodes > mostNodes {
		return nil, fmt.Errorf("starting a cluster: %d nodes are not between 1 and %d", options.Nodes, mostNodes)
	}
	needs, err := findNeeds(ctx, &options)
	if err != nil {
		return nil, fmt.Errorf("preparing a cluster: %w", err)
	}
	c := &Cluster{options: options, nodeBinaries: needs.binaries, users: componentUsers(), nodeUsers: nodeUsers(options.Nodes)}
	if c.ControlPlane, err = start(ctx, c.controlPlaneOptions(), detached); err != nil {
		return nil, err
	}
	for number := range options.Nodes {
		n := &Node{cluster: c, number: number + 1, dir: c.path(nodeName(number + 1))}
		c.nodes = append(c.nodes, n)
	}
	if err := c.startAll(ctx, needs); err != nil {
		return nil, errors.Join(fmt.Errorf("starting a cluster: %w", err), c.Stop())
	}
	return c, nil
}

// controlPlaneOptions add to the caller's what a control plane with nodes needs.
func (c *Cluster) controlPlaneOptions() Options {
	options := c.options.Options
	options.ownHost = true
	options.ServiceAccountAdmission = true
	options.ExtraIPs = append(slices.Clone(options.ExtraIPs), controlPlaneIP(), serviceIP())
	options.Users = append(slices.Clone(options.Users), c.nodeUsers...)
	for _, user := range c.users {
		options.Users = append(options.Users, user)
	}
	options.APIServerArgs = append([]string{
		"--bind-address=0.0.0.0", // of its own host
		"--advertise-address=" + controlPlaneIP().String(),
		"--endpoint-reconciler-type=lease",
		"--kubelet-preferred-address-types=InternalIP",
	}, options.APIServerArgs...)
	return options
}

// startAll starts everything but the control plane proper, all at once.
func (c *Cluster) startAll(ctx context.Context, needs needs) error {
	busybox, err := needs.busybox.archive()
	if err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.startControllers(groupCtx) })
	for _, node := range c.nodes {
		group.Go(func() error {
			if err := node.writeFiles(needs.runc, c.options.Plugins); err != nil {
				return fmt.Errorf("writing the files of %s: %w", node.Name(), err)
			}
			if err := node.boot(groupCtx); err != nil {
				return fmt.Errorf("starting %s: %w", node.Name(), err)
			}
			if err := node.StartContainerd(groupCtx); err != nil {
				return err
			}
			if err := importArchive(node.Command, groupCtx, busybox); err != nil {
				return fmt.Errorf("%s: %w", node.Name(), err)
			}
			return node.StartKubelet(groupCtx)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, node := range c.nodes {
		if err := c.awaitNode(ctx, node, c.options.DefaultCNI); err != nil {
			return err
		}
	}
	return nil
}

// Nodes returns the nodes, in the order of their numbers.
func (c *Cluster) Nodes() []*Node { return slices.Clone(c.nodes) }

// AwaitReady waits until every node is Ready.
func (c *Cluster) AwaitReady(ctx context.Context) error {
	for _, node := range c.nodes {
		if err := c.awaitNode(ctx, node, true); err != nil {
			return err
		}
	}
	return nil
}

// Stop ends all processes, Pods too, and removes the state folder if it was a temporary
// one. A second call does nothing.
func (c *Cluster) Stop() error {
	err := c.eachNode((*Node).Stop)
	if err = errors.Join(err, c.controllers.stop(), c.ControlPlane.Stop()); err != nil {
		return err
	}
	return removeCgroup(clusterCgroup(c.dir))
}

// eachNode does something on all nodes at once.
func (c *Cluster) eachNode(do func(*Node) error) error {
	var group errgroup.Group
	for _, node := range c.nodes {
		group.Go(func() error {
			if err := do(node); err != nil {
				return fmt.Errorf("%s: %w", node.Name(), err)
			}
			return nil
		})
	}
	return group.Wait()
}

// awaitNode waits until a node is registered and, if ready, Ready.
func (c *Cluster) awaitNode(ctx context.Context, node *Node, ready bool) error {
	ctx, cancel := context.WithTimeout(ctx, nodeTimeout)
	defer cancel()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		state, err := c.nodeState(ctx, node)
		if err == nil && (state == "True" || !ready) {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("its condition Ready is %q", state)
		}
		select {
		case <-ctx.Done():
			log := filepath.Join(node.dir, string(Kubelet)+suffixLog)
			return fmt.Errorf("waiting for %s: %w (last: %w); %s ends with:\n%s", node.Name(), ctx.Err(), err, log, tailOf(log))
		case <-poll.C:
		}
	}
}

// nodeState returns the status of a node's condition Ready.
func (c *Cluster) nodeState(ctx context.Context, node *Node) (string, error) {
	status, answer, err := c.Do(ctx, http.MethodGet, "/api/v1/nodes/"+node.Name(), "", nil)
	if err != nil {
		return "", err
	}
	if status != http.StatusOK {
		return "", fmt.Errorf("the apiserver answers %d: %s", status, answer)
	}
	var object struct {
		Status struct {
			Conditions []struct{ Type, Status string }
		}
	}
	if err := json.Unmarshal(answer, &object); err != nil {
		return "", fmt.Errorf("reading the node: %w", err)
	}
	for _, condition := range object.Status.Conditions {
		if condition.Type == "Ready" {
			return condition.Status, nil
		}
	}
	return "", nil
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

// needs is what must be there before a cluster starts.
type needs struct {
	runc     string
	binaries []string
	busybox  Image
}

// findNeeds looks for what the machine must have, before it builds for minutes.
func findNeeds(ctx context.Context, options *NodesOptions) (needs, error) {
	var n needs
	var err error
	if n.runc, err = exec.LookPath("runc"); err != nil {
		return n, fmt.Errorf("runc is needed, as in Debian's package runc: %w", err)
	}
	if n.runc, err = filepath.Abs(n.runc); err != nil {
		return n, err
	}
	if n.busybox, err = busyboxImage(ctx); err != nil {
		return n, err
	}
	if options.Binaries == nil {
		if options.Binaries, err = options.Builder.Build(ctx, ClusterParts()...); err != nil {
			return n, err
		}
	}
	for _, part := range []Part{Kubelet, Containerd, ContainerdShim, Ctr} {
		binary, err := options.Binaries.path(part)
		if err != nil {
			return n, fmt.Errorf("%s: %w", part, err)
		}
		n.binaries = append(n.binaries, binary)
	}
	if options.Plugins == "" {
		if options.Plugins, err = options.Builder.BuildPlugins(ctx); err != nil {
			return n, err
		}
	}
	return n, nil
}
