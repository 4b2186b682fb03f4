package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
)

// NodesOptions configure a cluster. The zero value means two nodes without a CNI configuration, a
// temporary directory, and binaries built on demand.
type NodesOptions struct {
	// Options configure the control plane. ServiceAccountAdmission is always on.
	Options
	// Nodes is the number of nodes; 0 means 2.
	Nodes int
	// CNI is the CNI configuration that every node has, so that it is Ready at once and Pods on
	// different nodes reach each other. With NoCNI a node stays NotReady until something writes a
	// configuration to its /etc/cni/net.d.
	CNI CNI
	// Plugins is a directory of CNI plugins, which are copied to every node's /opt/cni/bin. Empty
	// means those in go.mod's tool lines, built on demand. Flannel's plugin is always there.
	Plugins string
	// Runtimes are the nodes' container runtimes, Containerd or CRIO, in the order of the nodes. A
	// node for which there is none has Containerd.
	Runtimes []Part
	// RuntimeEnv is added to the environment of every container runtime, which passes its
	// environment to the CNI plugins.
	RuntimeEnv []string
}

// CNI is the CNI configuration that nodes have from the start.
type CNI string

const (
	// NoCNI is none.
	NoCNI CNI = ""
	// BridgeCNI is a bridge with host-local, whose configuration is complete.
	BridgeCNI CNI = "default"
	// FlannelCNI is flannel, as InstallFlannel installs it.
	FlannelCNI CNI = "flannel"
)

// A Cluster is a control plane with controllers and nodes. Its methods are safe for concurrent use.
type Cluster struct {
	*ControlPlane
	options      NodesOptions
	nodes        []*Node
	nodeBinaries map[Part][]string // in a node's /opt/bin, by its runtime
	users        map[Part]User     // of the controllers
	nodeUsers    []User            // of the kubelets
	controllers  controllers
}

// StartNodes starts a cluster and returns once Pods can be created and every node is registered,
// Ready too if they have a CNI configuration. It builds missing parts, which can take minutes. ctx
// bounds all of that, but not the life of the cluster, which lasts until Stop or until the calling
// process ends. StartNodes requires root, util-linux, and the Debian packages runc and
// busybox-static, and for nodes with CRI-O also conmon, gcc and libc6-dev.
func StartNodes(ctx context.Context, options NodesOptions) (*Cluster, error) {
	return startNodes(ctx, options, false)
}

func startNodes(ctx context.Context, options NodesOptions, detached bool) (*Cluster, error) {
	if options.Nodes == 0 {
		options.Nodes = 2
	}
	if options.Nodes < 0 || options.Nodes > mostNodes {
		return nil, fmt.Errorf("starting a cluster: Options.Nodes: %d: must be between 1 and %d", options.Nodes,
			mostNodes)
	}
	if err := options.checkRuntimes(); err != nil {
		return nil, fmt.Errorf("starting a cluster: %w", err)
	}
	needs, err := findNeeds(ctx, &options)
	if err != nil {
		return nil, fmt.Errorf("preparing a cluster: %w", err)
	}
	c := &Cluster{options: options, nodeBinaries: needs.binaries, users: componentUsers(),
		nodeUsers: nodeUsers(options.Nodes)}
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

// controlPlaneOptions returns the options of the control plane, extended by what nodes require.
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
		"--bind-address=0.0.0.0", // of the control plane's host
		"--advertise-address=" + controlPlaneIP().String(),
		"--endpoint-reconciler-type=lease",
		"--kubelet-preferred-address-types=InternalIP",
	}, options.APIServerArgs...)
	return options
}

// startAll starts the controllers and the nodes, all at once.
func (c *Cluster) startAll(ctx context.Context, needs needs) error {
	busybox, err := needs.busybox.archive()
	if err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.startControllers(groupCtx) })
	for _, node := range c.nodes {
		group.Go(func() error { return node.startFirst(groupCtx, needs, busybox) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, node := range c.nodes {
		if err := c.awaitNode(ctx, node, c.options.CNI != NoCNI); err != nil {
			return err
		}
	}
	return nil
}

// Nodes returns the nodes, in the order of their numbers.
func (c *Cluster) Nodes() []*Node { return slices.Clone(c.nodes) }

// Stop ends all processes, Pods too, and removes the state directory if that is a temporary one. A
// second call does nothing.
func (c *Cluster) Stop() error {
	err := c.eachNode((*Node).Stop)
	if err = errors.Join(err, c.controllers.stop(), c.ControlPlane.Stop()); err != nil {
		return err
	}
	return removeCgroup(clusterCgroup(c.dir))
}

// eachNode calls do for all nodes at once.
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
