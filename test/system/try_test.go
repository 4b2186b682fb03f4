package system

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// TestTry_OnNodes runs scripts/try.sh as those do who have a cluster, on nodes that have a default
// network and the image.
func TestTry_OnNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a cluster")
	}
	c := newTestCluster(t)
	for _, node := range c.Nodes() {
		must(t, node.InstallFlannel())
	}
	c.nodesReady(t)
	for _, tt := range []struct {
		behavior string
		test     func(*testing.T)
	}{
		{"the script refuses what it cannot do, and touches nothing", c.tryRefuses},
		{"the script shows everything, and removes everything", c.tryShows},
		{"the script removes everything when it is interrupted", c.tryInterrupted},
		{"what was kept can be removed", c.tryKept},
		{"an installed kactus stays as it is", c.tryInstalled},
	} {
		t.Run(tt.behavior, func(t *testing.T) {
			defer func() {
				if t.Failed() {
					c.logState(t)
				}
			}()
			tt.test(t)
		})
	}
}

// try returns the script as a command, for the administrator of the cluster.
func (c *testCluster) try(t *testing.T, args ...string) *exec.Cmd {
	kubectl := c.Kubectl(t.Context())
	cmd := exec.CommandContext(t.Context(), c.path("scripts/try.sh"), args...)
	cmd.Env = append(kubectl.Env, "PATH="+filepath.Dir(kubectl.Path)+":"+os.Getenv("PATH"))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	return cmd
}

func (c *testCluster) tryRefuses(t *testing.T) {
	nobody := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, c.WriteKubeconfig(nobody, "nobody's token"))
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--yes"}, "--image"},
		{[]string{"--image", "kactus:latest"}, "--yes"},
		{[]string{"--yes", "--image", "kactus:latest", "--context", "other"}, "other"},
		{[]string{"--yes", "--image", "kactus:latest", "--kubeconfig", nobody}, "does not answer"},
		{[]string{"--yes", "--image", "kactus:latest", "--platform", "other"}, "--platform other"},
		{[]string{"--remove"}, "nothing to remove"},
	} {
		out, err := c.try(t, tt.args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), tt.want) {
			t.Errorf("%q: %v; want an error that says %q:\n%s", tt.args, err, tt.want, out)
		}
	}
	c.nothingTried(t)
}

func (c *testCluster) tryShows(t *testing.T) {
	out, err := c.try(t, "--yes", "--image", "kactus:latest").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c.expectShown(t, string(out))
	c.nothingTried(t)
}

func (c *testCluster) expectShown(t *testing.T, out string) {
	t.Helper()
	for _, want := range []string{green + "@", "192.168.142.", data + "@", "192.168.144.", "AddedInterface",
		"2 networks are attached", "never restarted", "nothing is left"} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
}

// startTry starts the script, and waits until its output has words.
func (c *testCluster) startTry(
	t *testing.T, words string, args ...string,
) (cmd *exec.Cmd, out *watched, ended <-chan error) {
	t.Helper()
	cmd, out = c.try(t, args...), new(watched)
	cmd.Stdout, cmd.Stderr = out, out
	must(t, cmd.Start())
	end := make(chan error, 1)
	go func() { end <- cmd.Wait() }()
	await(t, "the script says "+words, func() (string, bool) {
		return out.String(), strings.Contains(out.String(), words)
	})
	return cmd, out, end
}

// tryInterrupted interrupts the script once its Pod has its networks.
func (c *testCluster) tryInterrupted(t *testing.T) {
	cmd, out, ended := c.startTry(t, "adding the network data", "--yes", "--image", "kactus:latest")
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	err := <-ended
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 143 {
		t.Errorf("the script ended with %v, want exit code 143:\n%s", err, out.String())
	}
	c.nothingTried(t)
}

func (c *testCluster) tryKept(t *testing.T) {
	out, err := c.try(t, "--yes", "--image", "kactus:latest", "--keep").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c.kubectl(t, "-n", "kactus-try", "exec", "deployment/app", "--", "ip", "link", "show", green)
	if out, err = c.try(t, "--yes", "--image", "kactus:latest").CombinedOutput(); err == nil ||
		!strings.Contains(string(out), "--remove") {
		t.Errorf("the script ran a second time: %v\n%s", err, out)
	}
	// As if the runtime had not torn down yet what the Pod had.
	left := c.copyRecord(t, "still-there")
	_, shown, ended := c.startTry(t, "waiting until this is detached", "--remove")
	if _, err := os.Stat(filepath.Join(filepath.Dir(left), "../../../../opt/cni/bin/kactus")); err != nil {
		t.Errorf("kactus is removed while something is attached: %v", err)
	}
	must(t, os.Remove(left))
	if err := <-ended; err != nil {
		t.Errorf("%v\n%s", err, shown)
	}
	c.nothingTried(t)
}

// copyRecord copies the ledger's record of the Pod to that of another container, and returns the
// path of the copy.
func (c *testCluster) copyRecord(t *testing.T, containerID string) string {
	t.Helper()
	for _, node := range c.Nodes() {
		records, err := filepath.Glob(node.Path("/var/lib/cni/kactus/*.json"))
		must(t, err)
		for _, record := range records {
			content, err := os.ReadFile(record)
			must(t, err)
			id := strings.TrimSuffix(filepath.Base(record), ".json")
			path := filepath.Join(filepath.Dir(record), containerID+".json")
			must(t, os.WriteFile(path, bytes.ReplaceAll(content, []byte(id), []byte(containerID)), 0o600))
			return path
		}
	}
	t.Fatal("no node has a record")
	return ""
}

func (c *testCluster) tryInstalled(t *testing.T) {
	c.installed(t)
	const version = "jsonpath={.items[*].metadata.generation}"
	before := c.kubectl(t, "get", "daemonsets,crds", "-A", "-o", version)
	out, err := c.try(t, "--yes").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c.expectShown(t, string(out))
	if after := c.kubectl(t, "get", "daemonsets,crds", "-A", "-o", version); after != before {
		t.Errorf("generations of DaemonSets and CRDs: %s, before %s", after, before)
	}
	c.nothingLeft(t)
}

// nothingTried checks that nothing of kactus is in the cluster or on the nodes.
func (c *testCluster) nothingTried(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{
		{"get", "namespace", "kactus-try", "--ignore-not-found", "-o", "name"},
		{"get", "crd", "-o", "name"},
		{"-n", "kube-system", "get", "daemonsets/kactus", "configmaps/kactus", "serviceaccounts/kactus",
			"rolebindings/kactus", "--ignore-not-found"},
		{"get", "clusterroles/kactus", "clusterroles/kactus-agent", "--ignore-not-found"},
		{"get", "validatingadmissionpolicies,validatingadmissionpolicybindings", "-o", "name"},
	} {
		if out, err := c.RunKubectl(t.Context(), "", args...); err != nil || out != "" {
			t.Errorf("kubectl %q: %v: %s", args, err, out)
		}
	}
	for _, node := range c.Nodes() {
		for _, path := range []string{
			"/opt/cni/bin/kactus", "/opt/cni/bin/null", netconfPath, "/etc/cni/net.d/kactus.d", "/var/lib/cni/kactus",
			"/var/lib/cni/networks/kactus-try-green", "/var/lib/cni/networks/kactus-try-data",
		} {
			if _, err := os.Lstat(node.Path(path)); err == nil {
				t.Errorf("%s still exists on %s", path, node.Name())
			}
		}
	}
	c.nothingLeft(t)
	c.nodesReady(t)
}

// watched is output that is read while it is written.
type watched struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *watched) Write(output []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(output)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}
