// Package netnstest gives tests network namespaces: one that stands for the node, and one for each Pod.
package netnstest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// inNode is in the environment of a test process that is in the node's namespaces already.
const inNode = "KACTUS_TEST_IN_NODE"

// Node puts the whole test process, and so every plugin that it starts, into a network namespace of its own, which stands for
// the node: the process runs itself again, and exits as that does. It comes first in a TestMain. The node has mounts of its own too, with
// nothing under /run, where plugins keep notes, and processes of its own: whatever a test leaves ends with it.
func Node() {
	if slices.Contains(os.Args, "-test.fuzzworker") {
		return // it was started on the node, and has descriptors that it would lose by running itself again
	}
	if os.Getenv(inNode) == "" {
		os.Exit(runInNode())
	}
	if err := errors.Join(os.Unsetenv(inNode), setUpNode()); err != nil {
		fmt.Fprintln(os.Stderr, "set up a node's namespaces (it takes root):", err)
		os.Exit(1)
	}
}

func runInNode() int {
	runtime.LockOSThread() // Pdeathsig is about the thread, not the process
	exe, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cmd := exec.Command(exe, os.Args[1:]...)
	cmd.Env = append(os.Environ(), inNode+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   syscall.CLONE_NEWPID,
		Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		Pdeathsig:    syscall.SIGKILL,
	}
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return max(exit.ExitCode(), 1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "run the tests in a network namespace of their own (it takes root):", err)
		return 1
	}
	return 0
}

func setUpNode() error {
	return errors.Join(
		unix.Mount("proc", "/proc", "proc", 0, ""),
		unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=0755"),
		loopbackUp(),
	)
}
