package cluster

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

//go:embed host.sh
var hostScript string

const (
	// hostPart is the name under which a host's first process is recorded.
	hostPart Part = "host"
	// networkHost has the namespaces of a host that shares the machine's files.
	networkHost = unix.CLONE_NEWNET | unix.CLONE_NEWPID
	// nodeHost has the namespaces of a node, which has files of its own.
	nodeHost = networkHost | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC
	// hostTimeout bounds the run time of a host's script, normally well under a second.
	hostTimeout = 20 * time.Second
)

// A host is a set of namespaces that acts as a machine. Its processes, interfaces and mounts live
// as long as its first process: when that ends, the kernel ends the PID namespace, and nothing else
// holds the other namespaces.
type host struct {
	pid        int
	pidfd      int
	namespaces int
	process    *process // nil if another process started it
}

// startHost starts a host. Its script gets args; its process ID and log are in dir. The process is
// recorded before the script does anything.
func startHost(ctx context.Context, dir string, namespaces int, detached bool, args ...string) (*host, error) {
	scriptRead, scriptWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer scriptRead.Close()
	defer scriptWrite.Close()
	readyRead, readyWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer readyRead.Close()
	defer readyWrite.Close()
	p, err := startProcess(program{
		binary: "/bin/sh", args: append([]string{"-s"}, args...), log: filepath.Join(dir, string(hostPart)+suffixLog),
		detached: detached, namespaces: uintptr(namespaces), stdin: scriptRead, files: []*os.File{readyWrite},
	})
	if err != nil {
		return nil, err
	}
	h := &host{pid: p.pid, pidfd: -1, namespaces: namespaces, process: p}
	readyWrite.Close()
	err = recordPID(dir, hostPart, p.pid)
	if err == nil {
		_, err = scriptWrite.WriteString(hostScript)
	}
	if err == nil {
		err = h.awaitScript(ctx, readyRead)
	}
	if err == nil {
		h.pidfd, err = unix.PidfdOpen(p.pid, 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the host %s: %w", args[0], err), h.stop())
	}
	return h, nil
}

// awaitScript waits until the script reports that it is ready, or ends.
func (h *host) awaitScript(ctx context.Context, ready *os.File) error {
	deadline := time.Now().Add(hostTimeout)
	if earlier, ok := ctx.Deadline(); ok && earlier.Before(deadline) {
		deadline = earlier
	}
	if err := ready.SetReadDeadline(deadline); err != nil {
		return err
	}
	if _, err := io.ReadAtLeast(ready, make([]byte, 1), 1); err != nil {
		return fmt.Errorf("waiting for the namespaces: %w; the log ends with:\n%s", err, tailOf(h.process.log))
	}
	return nil
}

// openHost returns the host that another process started in dir, or nil if it has ended.
func openHost(dir string, namespaces int) (*host, error) {
	running, err := findRecorded(dir, hostPart)
	if running == nil || err != nil {
		return nil, err
	}
	defer running.handle.Release()
	pidfd, err := unix.PidfdOpen(running.pid, 0)
	if err != nil {
		return nil, fmt.Errorf("opening process %d: %w", running.pid, err)
	}
	return &host{pid: running.pid, pidfd: pidfd, namespaces: namespaces}, nil
}

// enter moves the calling thread into the host, where the processes that it starts then run. The
// thread must be one of [node.OnOwnThread].
func (h *host) enter() error {
	// A thread that shares its working directory with others cannot change its mount namespace.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("entering the host of process %d: %w", h.pid, err)
	}
	if err := unix.Setns(h.pidfd, h.namespaces); err != nil {
		return fmt.Errorf("entering the host of process %d: %w", h.pid, err)
	}
	return nil
}

// dial connects from within the host's network.
func (h *host) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var conn net.Conn
	err := node.OnOwnThread(func() error {
		err := unix.Setns(h.pidfd, unix.CLONE_NEWNET)
		if err != nil {
			return fmt.Errorf("entering the network namespace of process %d: %w", h.pid, err)
		}
		var dialer net.Dialer
		conn, err = dialer.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// command returns a command that runs inside the host.
func (h *host) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	enter := []string{"--target", strconv.Itoa(h.pid), "--net", "--pid"}
	if h.namespaces == nodeHost {
		enter = append(enter, "--mount", "--uts", "--ipc")
	}
	cmd := exec.CommandContext(ctx, "nsenter", append(append(append(enter, "--"), name), args...)...)
	cmd.Env = append(cmd.Environ(), nodePath)
	return cmd
}

// stop ends everything in the host and returns once all of it is gone.
func (h *host) stop() error {
	if h == nil || h.process == nil {
		return nil
	}
	if h.pidfd >= 0 {
		unix.Close(h.pidfd)
		h.pidfd = -1
	}
	if err := h.process.handle.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ending the host of process %d: %w", h.pid, err)
	}
	select {
	case <-h.process.exited:
		return nil
	case <-time.After(stopGrace):
		return fmt.Errorf("ending the host of process %d: still running after SIGKILL", h.pid)
	}
}
