// Package kactustest runs kactus as container runtimes, node agents and operators do: as a process,
// with a netconf on stdin and CNI variables in the environment, against a real kube-apiserver with
// etcd and the real CNI plugins.
//
// A suite calls [Main] from its TestMain. Its tests run in network, mount and process namespaces of
// their own that stand for a node: the control plane and everything kactus makes live in them and
// end with them. Each test takes its own share of the node and the cluster, a [Tenant], so that
// tests can run in parallel, and makes [Pod] values in it. Pod.Runtime and Pod.Agent describe the
// two ways in which kactus is called.
package kactustest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/plugins"
)

// nodeEnv, if set, tells the test binary that it runs on the node already. Its value is the suite's
// directory.
const nodeEnv = "KACTUS_TEST_NODE"

// The directories in the suite's directory.
const (
	dirKactus  = "kactus"
	dirPlugins = "plugins"
	dirTmp     = "tmp"
)

// suite is what all tests of one test binary share.
var suite struct {
	root         string // the source tree
	dir          string
	controlPlane *cluster.ControlPlane
}

// Root returns the path of the source tree.
func Root() string { return suite.root }

// KactusDir returns the directory of the kactus binary under test.
func KactusDir() string { return filepath.Join(suite.dir, dirKactus) }

// KactusPath returns the path of the kactus binary under test.
func KactusPath() string { return filepath.Join(KactusDir(), "kactus") }

// PluginDir returns the directory of the real CNI plugins.
func PluginDir() string { return filepath.Join(suite.dir, dirPlugins) }

// ControlPlane returns the suite's control plane.
func ControlPlane() *cluster.ControlPlane { return suite.controlPlane }

// Main is the TestMain of a suite. It builds kactus, the plugins and the control plane, runs the
// tests on a node of their own, fails if they leave anything on it, and exits.
func Main(m *testing.M) {
	flag.Parse()
	if dir := os.Getenv(nodeEnv); dir != "" {
		os.Exit(runOnNode(m, dir))
	}
	if testing.Short() {
		fmt.Println("skipped: needs a control plane")
		os.Exit(0)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := buildAndEnter(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// buildAndEnter builds what the suite runs, while the network can still be reached, and then runs
// this test binary again on a node of its own.
func buildAndEnter(ctx context.Context) (int, error) {
	dir, err := os.MkdirTemp("", "kactus-test-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := build(ctx, dir); err != nil {
		return 0, err
	}
	err = node.Enter(ctx, nodeEnv+"="+dir, "TMPDIR="+filepath.Join(dir, dirTmp))
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}

func build(ctx context.Context, dir string) error {
	for _, name := range []string{dirKactus, dirPlugins, dirTmp} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
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
	cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, dirKactus, "kactus"), "./kactus")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build kactus: %w\n%s", err, out)
	}
	return errors.Join(plugins.Build(filepath.Join(dir, dirPlugins)), plugins.BuildDHCP(filepath.Join(dir, dirPlugins)))
}

// runOnNode runs the tests and then checks that they left nothing behind.
func runOnNode(m *testing.M, dir string) int {
	code, err := 1, node.SetUp()
	if err == nil {
		suite.dir = dir
		if suite.root, err = cluster.FindRoot("."); err == nil {
			err = startCluster()
		}
	}
	if err == nil {
		code = m.Run()
		err = errors.Join(suite.controlPlane.Stop(), checkNothingLeft(filepath.Join(dir, dirTmp)))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// checkNothingLeft fails if a test left an interface on the node, a process, a mount or a file.
func checkNothingLeft(tmp string) error {
	var left []string
	clean := func() bool {
		left = append(append(leftInterfaces(), leftProcesses()...), leftMounts(tmp)...)
		files, _ := os.ReadDir(tmp)
		for _, f := range files {
			left = append(left, "file "+f.Name())
		}
		return len(left) == 0
	}
	if Poll(context.Background(), clean) {
		return nil
	}
	return fmt.Errorf("the tests left behind:\n%s", strings.Join(left, "\n"))
}

func leftInterfaces() []string {
	links, err := netlink.LinkList()
	if err != nil {
		return []string{err.Error()}
	}
	var left []string
	for _, link := range links {
		if name := link.Attrs().Name; name != "lo" && !strings.HasPrefix(name, node.Uplink) {
			left = append(left, "interface "+name)
		}
	}
	return left
}

// leftProcesses returns the processes of the node other than this one. A process whose parent was
// killed stays a zombie, which has no command line and does not count.
func leftProcesses() []string {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var left []string
	for _, dir := range dirs {
		line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err == nil && len(line) > 0 && dir != "/proc/1" {
			left = append(left, "process "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return left
}

func leftMounts(tmp string) []string {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return []string{err.Error()}
	}
	var left []string
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, tmp) {
			left = append(left, "mount "+strings.TrimSpace(line))
		}
	}
	return left
}

// readSources makes the go command notice what kactus is built from, so that it does not reuse a
// cached success after a change there.
var readSources = sync.OnceValue(func() error {
	for _, name := range []string{"kactus", "pkg", "manifests", "examples", "vendor/modules.txt"} {
		err := filepath.WalkDir(filepath.Join(suite.root, name), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				_, err = os.Stat(path)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
})
