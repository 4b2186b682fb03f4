// Package node makes network namespaces for tests and benchmarks: one that stands for a node, with
// all processes that run on it, and one for each Pod. What is left in them ends with them.
package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Uplink is the name of the node's own interface, the master of macvlan interfaces.
const Uplink = "uplink"

// Enter runs this program again, with the same arguments and with env added to the environment, as
// the first process of new network, mount and process namespaces. There, the program is to call
// [SetUp]. The error is an *exec.ExitError if the program fails.
func Enter(ctx context.Context, env ...string) error {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		// Sent when the thread ends that started the process, which therefore stays locked.
		Pdeathsig: syscall.SIGKILL,
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return errors.New("interrupted")
	case err != nil && !errors.As(err, &exit):
		return fmt.Errorf("run on a node of its own (needs root): %w", err)
	}
	return err
}

// SetUp makes the namespaces that [Enter] started the process in look like a node's: private
// mounts, /proc of the node's processes, an empty /run, where plugins keep state, and an uplink.
func SetUp() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	for path, kind := range map[string]string{"/proc": "proc", "/run": "tmpfs"} {
		if err := unix.Mount(kind, path, kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", path, err)
		}
	}
	if err := os.Chmod("/run", 0o755); err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = Uplink
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: Uplink + "-far"}); err != nil {
		return fmt.Errorf("add the interface %s: %w", Uplink, err)
	}
	for _, name := range []string{"lo", Uplink, Uplink + "-far"} {
		if err := setUp(name); err != nil {
			return fmt.Errorf("set the interface %s up: %w", name, err)
		}
	}
	return nil
}
