// Package e2e drives kactus as a container runtime and a node agent do, as a process, against a real kube-apiserver with etcd and the real
// plugins. The suite runs in network, mount and process namespaces of its own, which stand for a node: the control plane and everything
// that kactus makes live in them, and go with them, however the suite ends.
package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/plugins"
)

// nodeEnv names the suite's folder to the test binary that runs on the node.
const nodeEnv = "KACTUS_TEST_E2E_NODE"

// The folders in the suite's folder.
const (
	folderKactus  = "kactus"
	folderPlugins = "plugins"
	folderTmp     = "tmp"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if dir := os.Getenv(nodeEnv); dir != "" {
		os.Exit(runOnNode(m, dir))
	}
	if testing.Short() {
		fmt.Println("skipped: the suite needs a control plane")
		os.Exit(0)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := runApart(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// runApart builds what the suite runs, where the network is still at hand, and then runs this very test binary on a node of its own.
func runApart(ctx context.Context) (int, error) {
	dir, err := os.MkdirTemp("", "kactus-e2e-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := build(ctx, dir); err != nil {
		return 0, err
	}
	err = node.Enter(ctx, nodeEnv+"="+dir, "TMPDIR="+filepath.Join(dir, folderTmp))
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}

func build(ctx context.Context, dir string) error {
	for _, folder := range []string{folderKactus, folderPlugins, folderTmp} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			return err
		}
	}
	if _, err := cluster.Build(ctx, os.Stderr, cluster.Parts()...); err != nil {
		return err
	}
	root, err := cluster.FindRoot(".")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, folderKactus, "kactus"), "./kactus")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build kactus: %w\n%s", err, out)
	}
	return plugins.Build(filepath.Join(dir, folderPlugins))
}
