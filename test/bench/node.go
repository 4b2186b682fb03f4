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
	err = node.Enter(ctx, nodeEnv+"="+dir, "TMPDIR="+filepath.Join(dir, folderTmp))
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return errors.New("there are no figures")
	}
	return err
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
