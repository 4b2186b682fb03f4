package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

// nodeEnv passes the run's directory to the process that measures on the node.
const nodeEnv = "KACTUS_BENCH_NODE"

// Directories in the run's directory.
const (
	dirKactus  = "kactus"
	dirPlugins = "plugins"
	dirFloor   = "floor"
	dirTmp     = "tmp"
)

// runOnNode builds what is measured while the network is reachable, then runs this program again on
// a node of its own: namespaces that end, with everything in them, however the run ends.
func runOnNode(ctx context.Context, opts options) error {
	dir, err := os.MkdirTemp("", "kactus-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := build(ctx, dir, opts); err != nil {
		return err
	}
	err = node.Enter(ctx, nodeEnv+"="+dir, "TMPDIR="+filepath.Join(dir, dirTmp))
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return errors.New("measuring on the node: failed")
	}
	return err
}

func build(ctx context.Context, dir string, opts options) error {
	if _, err := exec.LookPath("strace"); err != nil {
		return fmt.Errorf("counting fsyncs: %w", err)
	}
	for _, name := range []string{dirKactus, dirPlugins, dirFloor, dirTmp} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			return err
		}
	}
	builder := cluster.Builder{Root: opts.root, Progress: os.Stderr}
	if _, err := builder.Build(ctx, cluster.Parts()...); err != nil {
		return err
	}
	kactus := filepath.Join(dir, dirKactus, "kactus")
	subject := exec.CommandContext(ctx, "./build.sh", "-o", kactus)
	if opts.kactus != "" {
		subject = exec.CommandContext(ctx, "cp", opts.kactus, kactus)
	}
	floor := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w", "-o", filepath.Join(dir, dirFloor)+"/",
		"./test/bench/floor/...")
	delegates := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, dirPlugins)+"/", "tool")
	for _, cmd := range []*exec.Cmd{subject, floor, delegates} {
		cmd.Dir, cmd.Env = opts.root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
		}
	}
	return nil
}
