package cluster

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"
)

// importProgram is the program on every node that imports the images of a docker archive, read from
// standard input, into the node's runtime.
const importProgram = "import-image"

// Runtimes returns the container runtimes that a node can have. The first one is the default.
func Runtimes() []Part { return []Part{Containerd, CRIO} }

// runtimeParts returns the parts of a node with a runtime, besides the kubelet.
func runtimeParts(runtime Part) []Part {
	if runtime == CRIO {
		return []Part{CRIO, CRIOImport, Pinns}
	}
	return []Part{Containerd, ContainerdShim, Ctr}
}

// runtimeOf returns the runtime of a node, by its number.
func (options NodesOptions) runtimeOf(number int) Part {
	if number <= len(options.Runtimes) {
		return options.Runtimes[number-1]
	}
	return Runtimes()[0]
}

// runtimes returns the runtimes of all nodes, each one once.
func (options NodesOptions) runtimes() []Part {
	var found []Part
	for number := range options.Nodes {
		if runtime := options.runtimeOf(number + 1); !slices.Contains(found, runtime) {
			found = append(found, runtime)
		}
	}
	return found
}

func (options NodesOptions) checkRuntimes() error {
	if len(options.Runtimes) > options.Nodes {
		return fmt.Errorf("Options.Runtimes: %d for %d nodes", len(options.Runtimes), options.Nodes)
	}
	for _, runtime := range options.Runtimes {
		if !slices.Contains(Runtimes(), runtime) {
			return fmt.Errorf("Options.Runtimes: %q: must be one of %q", runtime, Runtimes())
		}
	}
	return nil
}

// Runtime returns the node's container runtime, Containerd or CRIO.
func (n *Node) Runtime() Part { return n.cluster.options.runtimeOf(n.number) }

// runtimeSocket returns the socket on which the node's runtime serves the kubelet.
func (n *Node) runtimeSocket() string {
	if n.Runtime() == CRIO {
		return crioSocket
	}
	return containerdSocket
}

// StartRuntime starts the node's container runtime and returns once it serves. It does nothing if
// the runtime runs already.
func (n *Node) StartRuntime(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	args := []string{"--config", containerdConfigFile}
	if n.Runtime() == CRIO {
		args = []string{"--config", crioConfigFile, "--config-dir", ""}
	}
	return n.start(ctx, &n.runtime, n.Runtime(), args, n.cluster.options.RuntimeEnv, n.runtimeReady)
}

func (n *Node) runtimeReady(context.Context) error {
	// The root directory of the first process has the node's own /run.
	socket := fmt.Sprintf("/proc/%d/root%s", n.host.pid, n.runtimeSocket())
	conn, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return err
	}
	return conn.Close()
}

// StopRuntime ends the node's container runtime. The Pods keep running.
func (n *Node) StopRuntime() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.runtime.stop()
}

// KillRuntime ends the node's container runtime as a crash would. The Pods keep running.
func (n *Node) KillRuntime() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.runtime.kill()
}
