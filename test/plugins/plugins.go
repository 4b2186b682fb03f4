// Package plugins builds the CNI plugins that tests use as delegates: those that go.mod lists as
// tools, and null, which is kactus under that name.
package plugins

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// Build builds the plugins into dir, which must exist. The go command caches them, so that every
// build but the first is a copy.
func Build(dir string) error {
	root, err := cluster.FindRoot(".")
	if err != nil {
		return err
	}
	// A second binary of the name kactus would be another one than the tests run as the
	// meta-plugin.
	for _, args := range [][]string{{dir + "/", "tool"}, {filepath.Join(dir, "null"), "./kactus"}} {
		cmd := exec.Command("go", append([]string{"build", "-o"}, args...)...)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build the CNI plugins: %w\n%s", err, out)
		}
	}
	return nil
}

// BuildDHCP builds the IPAM plugin dhcp into dir, which must exist. Its module is downloaded the
// first time.
func BuildDHCP(dir string) error {
	root, err := cluster.FindRoot(".")
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "dhcp"),
		"github.com/containernetworking/plugins/plugins/ipam/dhcp")
	cmd.Dir = filepath.Join(root, "test", "plugins", "dhcp")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the IPAM plugin dhcp: %w\n%s", err, out)
	}
	return nil
}

// Main is the TestMain of a package that needs the plugins: it builds them into a temporary
// directory, stores its path in *dir, runs the tests, removes the directory and exits. A fuzzing
// process runs no plugin, so nothing is built for it.
func Main(m *testing.M, dir *string) {
	if slices.ContainsFunc(os.Args, func(arg string) bool { return strings.HasPrefix(arg, "-test.fuzz=") }) {
		os.Exit(m.Run())
	}
	tmp, err := os.MkdirTemp("", "kactus-plugins-")
	if err == nil {
		err = Build(tmp)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		_ = os.RemoveAll(tmp)
		os.Exit(1)
	}
	*dir = tmp
	code := m.Run()
	_ = os.RemoveAll(tmp)
	os.Exit(code)
}
