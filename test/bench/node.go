package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// nodeEnv names the run's folder to the process that measures, on the node.
const nodeEnv = "KACTUS_BENCH_NODE"

// The folders in the run's folder.
const (
	folderKactus  = "kactus"
	folderPlugins = "plugins"
	folderFloor   = "floor"
	folderTmp     = "tmp"
)

// apart builds what is measured, where the network is still at hand, and then runs this very program on a node of its own: namespaces that end, with all that is
// in them, however the run ends.
func apart(ctx context.Context, opts options) error {
	dir, err := os.MkdirTemp("", "kactus-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := build(ctx, dir, opts); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), nodeEnv+"="+dir, "TMPDIR="+filepath.Join(dir, folderTmp))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL, // when the thread ends that starts it, which therefore must be held
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return errors.New("interrupted")
	case errors.As(err, &exit):
		return errors.New("there are no figures")
	case err != nil:
		return fmt.Errorf("run on a node of its own (that needs root): %w", err)
	}
	return nil
}

func build(ctx context.Context, dir string, opts options) error {
	if _, err := exec.LookPath("strace"); err != nil {
		return fmt.Errorf("counting fsyncs: %w", err)
	}
	for _, folder := range []string{folderKactus, folderPlugins, folderFloor, folderTmp} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			return err
		}
	}
	builder := cluster.Builder{Root: opts.root, Progress: os.Stderr}
	if _, err := builder.Build(ctx, cluster.Parts()...); err != nil {
		return err
	}
	kactus := filepath.Join(dir, folderKactus, "kactus")
	subject := exec.CommandContext(ctx, "./build.sh", "-o", kactus)
	if opts.kactus != "" {
		subject = exec.CommandContext(ctx, "cp", opts.kactus, kactus)
	}
	floor := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w", "-o", filepath.Join(dir, folderFloor)+"/", "./test/bench/floor/...")
	delegates := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, folderPlugins)+"/", "tool")
	for _, cmd := range []*exec.Cmd{subject, floor, delegates} {
		cmd.Dir, cmd.Env = opts.root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
		}
	}
	return nil
}

// uplink is the node's own device, the master of macvlan devices.
const uplink = "uplink"

// makeNode makes the namespaces that the process was started in look like a node's.
func makeNode() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	for path, kind := range map[string]string{"/proc": "proc", "/run": "tmpfs"} {
		if err := unix.Mount(kind, path, kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", path, err)
		}
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = uplink
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: uplink + "-far"}); err != nil {
		return fmt.Errorf("make the node's uplink: %w", err)
	}
	for _, name := range []string{"lo", uplink, uplink + "-far"} {
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
