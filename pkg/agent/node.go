package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
)

// Node is the node's kactus, and its kernel.
type Node struct {
	// ConfDir is the directory of CNI configurations.
	ConfDir string
	// BinDirs are the directories of CNI plugins, separated by colons, as in CNI_PATH.
	BinDirs string

	netconf netconfCache
}

// Binary returns the path of kactus's binary.
func (n *Node) Binary() (string, error) {
	for _, dir := range filepath.SplitList(n.BinDirs) {
		path := filepath.Join(dir, cniconf.Self)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("find the binary of kactus: none of the directories %s has it", n.BinDirs)
}

const (
	// grace is the time that an operation has to end by itself.
	grace = 25 * time.Second
	// outputGrace is how long a process that kactus left behind can hold its output open.
	outputGrace = 2 * time.Second
)

// Run executes kactus. The error is a *types.Error if kactus printed one.
func (n *Node) Run(ctx context.Context, call Call) error {
	binary, err := n.Binary()
	if err != nil {
		return err
	}
	cmd := n.command(binary)
	cmd.Env = append(cmd.Env,
		"CNI_COMMAND="+call.Command,
		"CNI_CONTAINERID="+call.ContainerID,
		"CNI_NETNS="+call.Netns,
		"CNI_IFNAME="+call.IfName,
		"CNI_ARGS="+call.Args,
	)
	cmd.Stdin = bytes.NewReader(call.Stdin)
	stdout, stderr := &head{}, &head{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err = run(ctx, cmd)
	if err == nil || errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState.Success() {
		return nil
	}
	printed := &types.Error{}
	if json.Unmarshal(stdout.Bytes(), printed) == nil && printed.Code != 0 {
		return printed
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("execute %s: %w: %s", binary, err, strings.TrimSpace(stderr.String()))
}

// Reclaim executes kactus gc.
func (n *Node) Reclaim(ctx context.Context) error {
	binary, err := n.Binary()
	if err != nil {
		return err
	}
	conf, err := n.Netconf()
	if err != nil {
		return err
	}
	cmd := n.command(binary, "gc", "-cni-dir", conf.Conf.CNIDir, "-lock-dir", conf.Conf.LockDir,
		"-bin-dir", n.BinDirs)
	stdout, stderr := &head{}, &head{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := run(ctx, cmd); err != nil {
		return fmt.Errorf("execute %s gc: %w: %s", binary, err, strings.TrimSpace(stderr.String()))
	}
	return nil
}

// command returns a command in an environment like that which a runtime gives to a plugin.
func (n *Node) command(binary string, args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"CNI_PATH=" + n.BinDirs}
	for _, key := range []string{"PATH", "_CNI_LOGGING_LEVEL", "_CNI_LOGGING_FILE"} {
		if value, ok := os.LookupEnv(key); ok {
			cmd.Env = append(cmd.Env, key+"="+value)
		}
	}
	cmd.WaitDelay = outputGrace
	// A signal to the agent's process group, as of a terminal, must not cut an operation short.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// run runs the command. When ctx ends, it is asked to end, and killed only after a while.
func run(ctx context.Context, cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	var kill *time.Timer
	asked := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(asked)
		_ = cmd.Process.Signal(syscall.SIGTERM) // has ended, if it fails
		kill = time.AfterFunc(grace, func() { _ = cmd.Process.Kill() })
	})
	err := cmd.Wait()
	if !stop() {
		<-asked
		kill.Stop()
	}
	return err
}

// A head keeps the first bytes that are written to it.
type head struct{ bytes.Buffer }

// Write implements io.Writer.
func (h *head) Write(p []byte) (int, error) {
	const limit = 64 << 10
	h.Buffer.Write(p[:min(len(p), max(limit-h.Len(), 0))])
	return len(p), nil
}

// Identify returns the identity of the network namespace at a path.
func (n *Node) Identify(path string) (netns.ID, error) { return netns.Identify(path) }

// Interfaces returns the interfaces of the network namespace at a path.
func (n *Node) Interfaces(path string) ([]netns.Interface, error) {
	ns, err := netns.Open(path)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	return ns.Interfaces()
}
