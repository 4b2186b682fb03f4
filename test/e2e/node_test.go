package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

// suite is what all tests share.
var suite struct {
	root    string // the source tree
	kactus  string // the folder of the binary
	plugins string // the folder of the real plugins
	cp      *cluster.ControlPlane
}

// runOnNode runs the tests, and then looks whether they left anything.
func runOnNode(m *testing.M, dir string) int {
	code, err := 1, node.SetUp()
	if err == nil {
		suite.kactus, suite.plugins = filepath.Join(dir, folderKactus), filepath.Join(dir, folderPlugins)
		if suite.root, err = cluster.FindRoot("."); err == nil {
			err = startCluster()
		}
	}
	if err == nil {
		code = m.Run()
		err = errors.Join(suite.cp.Stop(), checkNothingLeft(filepath.Join(dir, folderTmp)))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// checkNothingLeft fails where a test left a device on the node, a process, a mount or a file.
func checkNothingLeft(tmp string) error {
	var left []string
	look := func() bool {
		left = append(append(leftDevices(), leftProcesses()...), leftMounts(tmp)...)
		files, _ := os.ReadDir(tmp)
		for _, f := range files {
			left = append(left, "file "+f.Name())
		}
		return len(left) == 0
	}
	if poll(context.Background(), look) {
		return nil
	}
	return fmt.Errorf("the tests left behind:\n%s", strings.Join(left, "\n"))
}

func leftDevices() []string {
	links, err := netlink.LinkList()
	if err != nil {
		return []string{err.Error()}
	}
	var left []string
	for _, link := range links {
		if name := link.Attrs().Name; name != "lo" && !strings.HasPrefix(name, node.Uplink) {
			left = append(left, "device "+name)
		}
	}
	return left
}

// leftProcesses are those of the process namespace but for this one. A process whose parent was killed stays a zombie.
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

// poll looks until something holds that nothing announces, or ctx ends, or ten seconds are over.
func poll(ctx context.Context, holds func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
	return true
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	if !poll(t.Context(), holds) {
		t.Fatalf("it does not come about that %s", what)
	}
}

// readSources makes the go command see what kactus is built of, so that it does not take an old success for one of today.
func readSources(t *testing.T) {
	t.Helper()
	for _, folder := range []string{"kactus", "pkg", "manifests", "examples", "vendor/modules.txt"} {
		err := filepath.WalkDir(filepath.Join(suite.root, folder), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				_, err = os.Stat(path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
