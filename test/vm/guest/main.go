// Command guest is the first and only program of a virtual machine whose kernel has 802.1Q. It sets up two nodes, each with a Pod, in namespaces of their own,
// calls kactus as their container runtime and node agent would, and tells the test outside what comes of it.
package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/vm/verdict"
)

// main leaves a panic to the kernel, which prints it and ends the machine.
func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest is to be the first process of a virtual machine, which it sets up and powers off; see test/vm")
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
	for _, behaviour := range cluster.behaviours() {
		if err := report(line, behaviour); err != nil {
			return err
		}
	}
	if err := verdict.Done(line); err != nil {
		return err
	}
	return drain(line)
}

// behaviour is one that is to be seen. They are seen in their order: each finds what those before it left.
type behaviour struct {
	name string
	see  func() error
}

func report(to io.Writer, b behaviour) error {
	fmt.Println("guest:", b.name) // on the console, where it tells what the machine hangs at
	started := time.Now()
	v := verdict.Verdict{Behaviour: b.name}
	if err := b.see(); err != nil {
		v.Failure = err.Error()
	}
	v.Took = time.Since(started)
	return verdict.Write(to, v)
}

// drain returns when all is sent that was written to a serial line.
func drain(line *os.File) error {
	return unix.IoctlSetInt(int(line.Fd()), unix.TCSBRK, 1)
}
