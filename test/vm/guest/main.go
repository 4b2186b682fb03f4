// Command guest is the first process of a virtual machine whose kernel has 802.1Q. It sets up two
// nodes in namespaces, each with a Pod, runs kactus as a container runtime and a node agent would,
// and reports the results to the test on the host.
package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/vm/verdict"
)

// A panic in main makes the kernel panic, which prints the reason and ends the machine.
func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest: must be the first process of a virtual machine; see test/vm")
		os.Exit(2)
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
	}
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		panic(err)
	}
}

func run() error {
	if err := boot(); err != nil {
		return err
	}
	line, err := os.OpenFile("/dev/ttyS1", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer line.Close()
	cluster, err := newCluster()
	if err != nil {
		return err
	}
	for _, behavior := range cluster.behaviors() {
		if err := report(line, behavior); err != nil {
			return err
		}
	}
	if err := verdict.Done(line); err != nil {
		return err
	}
	return drain(line)
}

// A behavior is something to check. Behaviors are checked in order, because they build on each
// other.
type behavior struct {
	name  string
	check func() error
}

func report(to io.Writer, b behavior) error {
	fmt.Println("guest:", b.name) // on the console, to show where the machine hangs
	started := time.Now()
	v := verdict.Verdict{Behavior: b.name}
	if err := b.check(); err != nil {
		v.Failure = err.Error()
	}
	v.Took = time.Since(started)
	return verdict.Write(to, v)
}

// drain waits until everything written to a serial line is sent.
func drain(line *os.File) error {
	return unix.IoctlSetInt(int(line.Fd()), unix.TCSBRK, 1)
}
