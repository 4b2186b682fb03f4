package system

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// patience is how long the cluster may take for what it does by itself: a kubelet waits for up to half a minute before it tries again.
const patience = 90 * time.Second

// The devices of the networks that the tests use.
const (
	green = "net9f27410725ab"
	blue  = "net48d6215903df"
	data  = "net8d777f385d3d"
)

// kubectl runs kubectl as the administrator, and returns what it prints.
func (s *site) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	cmd := s.Kubectl(t.Context(), args...)
	cmd.Dir = s.root
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kubectl %q: %v\n%s%s", args, err, out, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

func (s *site) apply(t *testing.T, manifests ...string) {
	t.Helper()
	cmd := s.Kubectl(t.Context(), "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(strings.Join(manifests, "\n---\n"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("kubectl apply: %v\n%s", err, out)
	}
}

// on runs a command on a node, and returns what it prints.
func (s *site) on(t *testing.T, node *cluster.Node, name string, args ...string) string {
	t.Helper()
	out, err := node.Command(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q on %s: %v\n%s", name, args, node.Name(), err, out)
	}
	return strings.TrimSpace(string(out))
}

// await looks again and again until done says so, and fails the test with what it said last if that takes too long.
func await(t *testing.T, what string, done func() (string, bool)) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		last, ok := done()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in %s; last: %s", what, patience, last)
		}
	}
}

func (s *site) nodesReady(t *testing.T) {
	t.Helper()
	s.kubectl(t, "wait", "--for=condition=Ready", "node", "--all", "--timeout=90s")
}

// ready waits until all of a kind, by kubectl's ways to name it, are ready.
func (s *site) ready(t *testing.T, args ...string) {
	t.Helper()
	s.kubectl(t, append([]string{"wait", "--for=condition=Ready", "--timeout=90s"}, args...)...)
}

func (s *site) rolledOut(t *testing.T, what string) {
	t.Helper()
	s.kubectl(t, "rollout", "status", what, "--timeout=120s")
}

// podManifest is a Pod that runs on a node, or on any.
func podManifest(name, node, networks string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %s, annotations: {networks: %q}}
spec: %s`, name, networks, podSpec(node))
}

func podSpec(node string) string {
	if node != "" {
		node = "nodeName: " + node + ", "
	}
	return `{` + node + `terminationGracePeriodSeconds: 0, containers: [{name: c, image: "busybox:1"}]}`
}

// devices returns the names of a Pod's devices but lo.
func (s *site) devices(t *testing.T, pod string) []string {
	t.Helper()
	var found []string
	for line := range strings.Lines(s.kubectl(t, "exec", pod, "--", "ip", "-o", "link")) {
		name, _, _ := strings.Cut(strings.Fields(line)[1], "@")
		if name = strings.TrimSuffix(name, ":"); name != "lo" {
			found = append(found, name)
		}
	}
	slices.Sort(found) // the networks are attached all at once
	return found
}

func (s *site) expectDevices(t *testing.T, pod string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := s.devices(t, pod); !slices.Equal(got, want) {
		t.Errorf("%s has the devices %q, want %q", pod, got, want)
	}
}

// events are the messages of a Pod's warnings.
func (s *site) warnings(t *testing.T, pod string) string {
	t.Helper()
	return s.kubectl(t, "get", "events", "--field-selector", "type=Warning,involvedObject.name="+pod, "-o", "jsonpath={range .items[*]}{.reason}: {.message}{\"\\n\"}{end}")
}

func (s *site) awaitWarning(t *testing.T, pod, words string) {
	t.Helper()
	await(t, "the events of "+pod+" say "+words, func() (string, bool) {
		said := s.warnings(t, pod)
		return said, strings.Contains(said, words)
	})
}

// podNames are those of a label's Pods.
func (s *site) podNames(t *testing.T, label string) []string {
	t.Helper()
	return strings.Fields(s.kubectl(t, "get", "pods", "-l", label, "-o", "jsonpath={.items[*].metadata.name}"))
}

// records are the ledger's, of one node.
func records(t *testing.T, node *cluster.Node) []string {
	t.Helper()
	found, err := filepath.Glob(node.Path("/var/lib/cni/kactus/*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// left is all that a node has of Pods' networks: devices, network namespaces, leases, records.
func left(t *testing.T, node *cluster.Node) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"/var/lib/cni/kactus/*", "/var/lib/cni/flannel/*", "/var/lib/cni/networks/*/*"} {
		files, err := filepath.Glob(node.Path(pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if name := filepath.Base(file); name != "lock" && !strings.HasPrefix(name, "last_reserved_ip.") {
				found = append(found, file)
			}
		}
	}
	out, err := node.Command(t.Context(), "ip", "-json", "link").Output()
	if err != nil {
		t.Fatal(err)
	}
	var links []struct{ IfName string }
	if err := json.Unmarshal(out, &links); err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		switch link.IfName {
		case "lo", "eth0", "cni0", "data-br": // the node's own; bridges stay
		default:
			found = append(found, "device "+link.IfName)
		}
	}
	netns, err := filepath.Glob(fmt.Sprintf("/proc/%d/root/run/netns/*", node.PID()))
	if err != nil {
		t.Fatal(err)
	}
	return append(found, netns...)
}

// empty deletes all that a test made, and waits until the nodes have nothing left of it.
func (s *site) empty(t *testing.T) {
	t.Helper()
	s.kubectl(t, "delete", "deployments,statefulsets,pods,networks.kaloom.com", "--all", "--timeout=90s")
	s.kubectl(t, "delete", "events", "--all")
	s.nothingLeft(t)
}

func (s *site) nothingLeft(t *testing.T) {
	t.Helper()
	for _, node := range s.Nodes() {
		await(t, node.Name()+" has nothing left of the Pods", func() (string, bool) {
			found := left(t, node)
			return strings.Join(found, "\n"), len(found) == 0
		})
	}
}
