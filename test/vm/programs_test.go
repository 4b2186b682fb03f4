package vm_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/vm"
)

// pluginDir is the guest's directory of CNI plugins, including kactus.
const pluginDir = "/opt/cni/bin/"

// build builds the guest's programs and returns them.
func build(t *testing.T) []vm.File {
	t.Helper()
	dir := t.TempDir()
	root := findRoot(t)
	run(t, exec.CommandContext(t.Context(), filepath.Join(root, "build.sh"), "-o", filepath.Join(dir, "kactus")))
	guest := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-s -w", "-o",
		filepath.Join(dir, "guest"), "./guest")
	guest.Env = append(os.Environ(), "CGO_ENABLED=0")
	run(t, guest)
	plugins, err := cluster.Builder{Root: root}.BuildPlugins(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	files := []vm.File{
		program(t, "/init", filepath.Join(dir, "guest")),
		program(t, pluginDir+"kactus", filepath.Join(dir, "kactus")),
	}
	for _, name := range []string{"vlan", "static", "ptp", "host-local"} {
		files = append(files, program(t, pluginDir+name, filepath.Join(plugins, name)))
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatalf("finding busybox (Debian package busybox-static): %v", err)
	}
	return append(files, program(t, "/bin/busybox", busybox))
}

func program(t *testing.T, path, source string) vm.File {
	t.Helper()
	return vm.File{Path: path, Mode: 0o755, Content: read(t, source)}
}

func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("running %s: %v\n%s", cmd, err, out)
	}
}

func findRoot(t *testing.T) string {
	t.Helper()
	root, err := cluster.FindRoot(".")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// readSources reads the attributes of everything that the guest's programs are built from, so that
// the go command does not reuse a cached test result after a change.
func readSources(t *testing.T) {
	t.Helper()
	root := findRoot(t)
	for _, source := range []string{"kactus", "pkg", "manifests", "examples", "test/vm", "vendor/modules.txt"} {
		err := filepath.WalkDir(filepath.Join(root, source), func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				_, err = os.Stat(path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
