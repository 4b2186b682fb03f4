// Package netnstest gives tests network namespaces: one that stands for the node, and one for each
// Pod. It is [node] for tests.
package netnstest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

// inNode is set in the environment of a test process that runs on its node already.
const inNode = "KACTUS_TEST_IN_NODE"

// Node moves the test process, and with it every plugin that it starts, to a node of its own: it
// runs the test binary again there and exits with its exit code. TestMain calls it first. The node
// has its own network, mounts, processes and an empty /run, where plugins keep state; whatever a
// test leaves behind ends with it.
func Node() {
	if slices.Contains(os.Args, "-test.fuzzworker") {
		return // started on the node, with descriptors that it would lose by running itself again
	}
	if os.Getenv(inNode) == "" {
		os.Exit(enter())
	}
	if err := errors.Join(os.Unsetenv(inNode), node.SetUp()); err != nil {
		fmt.Fprintln(os.Stderr, "set up the node's namespaces (needs root):", err)
		os.Exit(1)
	}
}

func enter() int {
	err := node.Enter(context.Background(), inNode+"=1")
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return max(exit.ExitCode(), 1)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
