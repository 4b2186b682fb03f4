// Package node gives a program namespaces that look like a node's, with all that it starts: what is left in them ends with it.
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

// Uplink is the node's own device, the master of macvlan devices.
const Uplink = "uplink"

// Enter runs this very program again, with its arguments and env besides its environment, as the first process of network, mount and process namespaces of
// its own, where it calls SetUp. The error is an *exec.ExitError where that program fails.
func Enter(ctx context.Context, env ...string) error {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL, // when the thread ends that starts it, which therefore must be held
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return errors.New("interrupted")
	case err != nil && !errors.As(err, &exit):
		return fmt.Errorf("run on a node of its own (that needs root): %w", err)
	}
	return err
}

// SetUp makes the namespaces that the process was started in look like a node's. The plugins' state in /run is not to reach the machine's.
func SetUp() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	for path, kind := range map[string]string{"/proc": "proc", "/run": "tmpfs"} {
		if err := unix.Mount(kind, path, kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", path, err)
		}
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = Uplink
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: Uplink + "-far"}); err != nil {
		return fmt.Errorf("make the node's uplink: %w", err)
	}
	for _, name := range []string{"lo", Uplink, Uplink + "-far"} {
		link, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.LinkSetUp(link)
		}
		if err != nil {
			return fmt.Errorf("set %s up: %w", name, err)
		}
	}
	return nil
}
