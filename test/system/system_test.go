// Package system tests kactus as its users run it: on a cluster of two nodes, each with a kubelet and a containerd, installed by the
// manifests, with the examples as they are in the tree.
package system

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// logPath is where kactus's log is on each node, as the README tells to have it.
const logPath = "/var/log/kactus.log"

// site is a cluster, and the tree whose kactus it gets.
type site struct {
	*cluster.Cluster
	root      string
	installed func(t *testing.T)
}

func TestOnNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a cluster")
	}
	s := newSite(t)
	t.Run("the manifests make nodes ready, when Pods can start and not before", s.install)
	// Each of these finds the nodes without a Pod of its own, and leaves them so.
	for _, tt := range []struct {
		behaviour string
		test      func(*testing.T)
	}{
		{"a Pod that asks for nothing gets its default network alone", s.noAnnotation},
		{"the example with addresses in the annotation works as the README writes it", s.addressesAskedFor},
		{"the example that sets its addresses itself works as the README writes it", s.addressesSet},
		{"20 replicas come and go and leave nothing", s.replicas},
		{"a StatefulSet's Pod is replaced under its name", s.statefulSet},
		{"Pods deleted while they are being created leave nothing", s.deletedWhileCreated},
		{"a malformed annotation is told of in the Pod's events, and mended in the template", s.malformedAnnotation},
		{"a Pod starts by itself when the Network that it names is created", s.networkLater},
		{"a hostPort leads to the Pod, by the portmap in the master delegate's chain", s.hostPort},
		{"an update of kactus fails no Pod", s.update},
		{"Pods start after the token was rotated and the old one revoked", s.rotation},
		{"a kubeconfig made by hand works", s.kubeconfigByHand},
		{"Pods outlast a restart of containerd", s.containerdRestart},
		{"Pods that are deleted while the kubelet is dead are gone when it is back", s.kubeletRestart},
		{"Pods come back after a reboot of their node, and nothing leaks", s.reboot},
		{"a changed ConfigMap reaches the nodes, which are not ready while kactus's STATUS is not", s.status},
		{"uninstalled, the node has what it had", s.uninstall},
	} {
		t.Run(tt.behaviour, func(t *testing.T) {
			s.installed(t)
			defer func() {
				if t.Failed() {
					s.tell(t)
				}
				s.empty(t)
			}()
			tt.test(t)
		})
	}
}

// newSite starts a cluster whose nodes have the image of kactus, and nothing of it yet.
func newSite(t *testing.T) *site {
	t.Helper()
	root, err := cluster.FindRoot(".")
	if err != nil {
		t.Fatal(err)
	}
	images := filepath.Join(t.TempDir(), "images")
	script := exec.CommandContext(t.Context(), filepath.Join(root, "scripts/build-docker-image.sh"), "-a", runtime.GOARCH, "-o", images)
	if out, err := script.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	archive, err := os.ReadFile(filepath.Join(images, "kactus-"+runtime.GOARCH+".tar"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.StartNodes(t.Context(), cluster.NodesOptions{
		Options:       cluster.Options{Builder: cluster.Builder{Progress: os.Stderr}},
		ContainerdEnv: []string{"_CNI_LOGGING_LEVEL=3", "_CNI_LOGGING_FILE=" + logPath},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	s := &site{Cluster: c, root: root}
	for _, node := range c.Nodes() {
		load := node.Command(t.Context(), "ctr", "--namespace", "k8s.io", "images", "import", "-")
		load.Stdin = bytes.NewReader(archive)
		if out, err := load.CombinedOutput(); err != nil {
			t.Fatalf("importing the image on %s: %v\n%s", node.Name(), err, out)
		}
	}
	var once sync.Once
	s.installed = func(t *testing.T) {
		once.Do(func() {
			s.kubectl(t, "apply", "-k", s.path("manifests"))
			s.nodesReady(t)
		})
	}
	return s
}

// binary is the one that is in the image.
func (s *site) binary() string { return s.path("bin/image/" + runtime.GOARCH + "/kactus") }

func (s *site) path(name string) string { return filepath.Join(s.root, name) }

// tell prints what somebody who looks for the cause of a failure would ask for first.
func (s *site) tell(t *testing.T) {
	for _, args := range [][]string{{"get", "pods", "-A", "-o", "wide"}, {"get", "events", "--sort-by=.lastTimestamp"}, {"-n", "kube-system", "logs", "-l", "app.kubernetes.io/name=kactus", "--prefix"}} {
		out, _ := s.Kubectl(t.Context(), args...).CombinedOutput()
		t.Logf("kubectl %q:\n%s", args, out)
	}
	for _, node := range s.Nodes() {
		out, _ := node.Command(t.Context(), "tail", "-n", "40", logPath).CombinedOutput()
		t.Logf("kactus's log on %s:\n%s", node.Name(), out)
	}
}
