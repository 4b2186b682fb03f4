package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// nodeTimeout bounds the time that a node's runtime or kubelet takes to become ready, normally
// seconds.
const nodeTimeout = time.Minute

// nodePath is the PATH of a node's processes: the built programs come before the machine's.
const nodePath = "PATH=" + nodeBin + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// nodeBin is the directory of the built programs on a node.
const nodeBin = "/opt/bin"

// A Node is a machine of a cluster, made of namespaces. It has its own network, processes and host
// name, and its own /etc, /opt, /run, /var/lib and /var/log. Its methods are safe for concurrent
// use.
type Node struct {
	cluster *Cluster
	number  int
	dir     string

	mu        sync.Mutex // guards the fields below
	host      *host
	runtime   *process
	kubelet   *process
	kubeletAt time.Time // when it was last started
}

func nodeName(number int) string { return "node" + strconv.Itoa(number) }

// Name returns the node's name, which is also its host name: node1, node2 and so on.
func (n *Node) Name() string { return nodeName(n.number) }

// IP returns the node's address on the underlay, which its interface eth0 has.
func (n *Node) IP() net.IP { return nodeIP(n.number) }

// PodSubnet returns the subnet that the other nodes and the control plane route to this node,
// whether or not the default CNI configuration is what assigns its addresses to Pods.
func (n *Node) PodSubnet() *net.IPNet { return podSubnet(n.number) }

// Dir returns the directory of the node's logs. Its subdirectory root has the node's files.
func (n *Node) Dir() string { return n.dir }

// Path returns the path on the machine of a node's file, which must be below /etc/cni,
// /etc/containerd, /etc/containers, /etc/crio, /etc/kubernetes, /opt, /var/lib or /var/log.
func (n *Node) Path(file string) string { return filepath.Join(n.dir, dirRoot, file) }

// Command returns a command that runs on the node as root.
func (n *Node) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.host == nil {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Err = fmt.Errorf("running %s on %s: the node is down", name, n.Name())
		return cmd
	}
	return n.host.command(ctx, name, args...)
}

// PID returns the process ID of the node's first process, or 0 while the node is down. The node's
// namespaces are those in /proc/PID/ns.
func (n *Node) PID() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.host == nil {
		return 0
	}
	return n.host.pid
}

// Start starts the node again after Stop, with the files that it had, and returns once its kubelet
// runs. It does nothing if the node runs already.
func (n *Node) Start(ctx context.Context) error {
	if err := n.boot(ctx); err != nil {
		return fmt.Errorf("starting %s: %w", n.Name(), err)
	}
	if err := n.StartRuntime(ctx); err != nil {
		return err
	}
	return n.StartKubelet(ctx)
}

// startFirst writes the node's files, starts the node, and imports the image that all Pods need.
func (n *Node) startFirst(ctx context.Context, needs needs, busybox []byte) error {
	if err := n.writeFiles(needs); err != nil {
		return fmt.Errorf("writing the files of %s: %w", n.Name(), err)
	}
	if err := n.boot(ctx); err != nil {
		return fmt.Errorf("starting %s: %w", n.Name(), err)
	}
	if err := n.StartRuntime(ctx); err != nil {
		return err
	}
	if err := importArchive(ctx, n.Command, busybox); err != nil {
		return fmt.Errorf("%s: %w", n.Name(), err)
	}
	return n.StartKubelet(ctx)
}

// boot starts the node's host and connects it to the underlay.
func (n *Node) boot(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.host != nil {
		return nil
	}
	if err := makeCgroup(n.cgroup()); err != nil {
		return err
	}
	args := append([]string{n.Name(), n.dir, filepath.Base(clusterCgroup(n.cluster.dir))},
		n.cluster.nodeBinaries[n.Runtime()]...)
	host, err := startHost(ctx, n.dir, nodeHost, n.cluster.detached, args...)
	if err != nil {
		return err
	}
	n.host = host
	if err = joinUnderlay(n.cluster.host, host, n.number); err == nil {
		err = setUpNode(host, n.number, len(n.cluster.nodes))
	}
	if err == nil {
		err = n.writeFlannelSubnet()
	}
	if err == nil {
		err = n.writeEnter()
	}
	if err != nil {
		return errors.Join(err, n.stop())
	}
	return nil
}

// Stop ends the node as a power failure would: its processes, Pods, mounts and network are gone,
// its files stay.
func (n *Node) Stop() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.stop(); err != nil {
		return fmt.Errorf("stopping %s: %w", n.Name(), err)
	}
	return nil
}

func (n *Node) stop() error {
	if err := n.host.stop(); err != nil {
		return err
	}
	n.host, n.runtime, n.kubelet = nil, nil, nil
	return removeCgroup(n.cgroup())
}

// Reboot stops the node and starts it again.
func (n *Node) Reboot(ctx context.Context) error {
	if err := n.Stop(); err != nil {
		return err
	}
	return n.Start(ctx)
}

// StartKubelet starts the node's kubelet and returns once it is healthy, which does not mean that
// the node is Ready. It does nothing if the kubelet runs already.
func (n *Node) StartKubelet(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	args := []string{
		"--config=/etc/kubernetes/kubelet.yaml",
		"--kubeconfig=/etc/kubernetes/kubelet.conf",
		"--hostname-override=" + n.Name(),
		"--node-ip=" + n.IP().String(),
	}
	if n.kubelet == nil || !n.kubelet.running() {
		n.kubeletAt = time.Now()
	}
	return n.start(ctx, &n.kubelet, Kubelet, args, nil, func(ctx context.Context) error {
		return n.healthy(ctx, "http://127.0.0.1:10248/healthz")
	})
}

func (n *Node) kubeletStarted() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.kubeletAt
}

// StopKubelet ends the node's kubelet. Its Pods keep running.
func (n *Node) StopKubelet() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.kubelet.stop()
}

// KillKubelet ends the node's kubelet as a crash would.
func (n *Node) KillKubelet() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.kubelet.kill()
}

// start starts one of the node's programs and waits until it is ready.
func (n *Node) start(ctx context.Context, p **process, part Part, args, env []string,
	ready func(context.Context) error) error {
	if *p != nil && (*p).running() {
		return nil
	}
	if n.host == nil {
		return fmt.Errorf("starting %s on %s: the node is down", part, n.Name())
	}
	ctx, cancel := context.WithTimeout(ctx, nodeTimeout)
	defer cancel()
	started, err := startProcess(program{
		binary: filepath.Join(nodeBin, string(part)), args: args, env: append([]string{nodePath}, env...),
		log: filepath.Join(n.dir, string(part)+suffixLog), detached: n.cluster.detached, enter: n.host.enter,
	})
	if err == nil {
		err = recordPID(n.dir, part, started.pid)
	}
	if err == nil {
		err = started.await(ctx, ready)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("starting %s on %s: %w", part, n.Name(), err), started.stop())
	}
	*p = started
	return nil
}

// cgroup returns the cgroup below which the node's Pods are.
func (n *Node) cgroup() string {
	return strings.Join([]string{clusterCgroup(n.cluster.dir), n.Name()}, "/")
}
