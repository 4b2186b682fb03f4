// Package system tests kactus as its users run it: on a cluster of two nodes, one with containerd
// and one with CRI-O, installed with the manifests, and with the examples of this tree.
package system

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// logPath is the path of kactus's log on each node, configured as docs/operations.md describes.
const logPath = "/var/log/kactus.log"

// A testCluster is a cluster, and the source tree whose kactus is installed there.
type testCluster struct {
	*cluster.Cluster
	root      string
	installed func(t *testing.T)
}

func TestKactus_OnNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a cluster")
	}
	t.Parallel()
	c := startTestCluster(t)
	t.Run("the manifests make nodes ready once Pods can start", c.install)
	// Each of these tests finds the nodes without Pods, and leaves them so.
	for _, tt := range []struct {
		behavior string
		test     func(*testing.T)
	}{
		{"a Pod without an annotation gets only the default network", c.onEachNode(c.noAnnotation)},
		{"the example with addresses in the annotation works as in docs/networks.md", c.requestedAddresses},
		{"the example that sets its addresses itself works as in docs/networks.md", c.ownAddresses},
		{"the example that is written for Multus works as in its document", c.npwg},
		{"20 replicas come and go and leave nothing", c.replicas},
		{"a StatefulSet's Pod is replaced by one of the same name", c.onEachNode(c.statefulSet)},
		{"a StatefulSet's Pod keeps its MAC address on another node", c.statefulSetMoves},
		{"Pods deleted while they are being created leave nothing", c.onEachNode(c.deletedWhileCreated)},
		{"a malformed annotation is in the Pod's events, and can be fixed in the template",
			c.onEachNode(c.malformedAnnotation)},
		{"a Pod starts when its Network is created", c.networkLater},
		{"a hostPort works", c.onEachNode(c.hostPort)},
		{"the agent attaches what the annotation of a running Pod says", c.agentEdits},
		{"networks get the devices that the kubelet has given to the Pod", c.devices},
		{"the agent does later what was edited while it was away", c.agentAway},
		{"the agent copes with Pods and runtimes that come and go", c.onEachNode(c.agentRaces)},
		{"the agent doubles and loses nothing when it is killed", c.onEachNode(c.agentKilled)},
		{"the agent is one of two, repairs, and outlives the apiserver", c.agentsTogether},
		{"an update of kactus fails no Pod", c.update},
		{"Pods start after the token was rotated and the old one revoked", c.rotation},
		{"a kubeconfig made with the script works", c.kubeconfigByScript},
		{"Pods survive a restart and a crash of the runtime", c.onEachNode(c.runtimeRestart)},
		{"a Pod with hostNetwork is left alone", c.onEachNode(c.hostNetwork)},
		{"a Pod is checked by the runtimes that do so", c.onEachNode(c.checkAfterAdd)},
		{"hot networks survive a restart of the runtime", c.hotNetworks},
		{"a crash of kactus in an ADD leaves nothing", c.onEachNode(c.crashInAdd)},
		{"a crash of kactus in a DEL leaves nothing", c.onEachNode(c.crashInDel)},
		{"a Pod starts on a bridge without IPAM", c.onEachNode(c.bridgeWithoutIPAM)},
		{"trouble with a hot network costs no Pod its life", c.onEachNode(c.hotTrouble)},
		{"a crash of kactus whose delegate lives on leaves nothing", c.onEachNode(c.crashWithDelegate)},
		{"Pods deleted while the kubelet is down are gone when it runs again", c.onEachNode(c.kubeletRestart)},
		{"Pods start again after a reboot of their node, and nothing leaks", c.onEachNode(c.reboot)},
		{"a changed ConfigMap reaches the nodes, whose runtimes then use STATUS and GC", c.newerVersion},
		{"uninstalling restores the node", c.uninstall},
	} {
		t.Run(tt.behavior, func(t *testing.T) {
			c.installed(t)
			defer func() {
				if t.Failed() {
					c.logState(t)
				}
				c.cleanUp(t)
			}()
			tt.test(t)
		})
	}
}

// TestMain runs the tests in the root of the tree, for relative paths in kubectl's arguments. Two
// clusters run at once, even on few processors: most of its time, a test of a cluster waits.
func TestMain(m *testing.M) {
	flag.Parse()
	root, err := cluster.FindRoot(".")
	if err == nil {
		err = errors.Join(os.Chdir(root), flag.Set("test.parallel", "16"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	m.Run()
}

// image returns the archive of kactus's image, which all tests share.
var image = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "kactus-image-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	script := exec.Command("scripts/build-docker-image.sh", "-a", runtime.GOARCH, "-o", dir)
	if out, err := script.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", script, err, out)
	}
	return os.ReadFile(filepath.Join(dir, "kactus-"+runtime.GOARCH+".tar"))
})

// turn is had by the test that may have a cluster beside that of the longest one.
var turn sync.Mutex

// newTestCluster starts a cluster, once the other tests that call it are done with theirs.
func newTestCluster(t *testing.T) *testCluster {
	t.Helper()
	t.Parallel()
	turn.Lock()
	t.Cleanup(turn.Unlock)
	return startTestCluster(t)
}

// startTestCluster starts a cluster whose nodes have the image of kactus, but nothing installed.
func startTestCluster(t *testing.T) *testCluster {
	t.Helper()
	archive, err := image()
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := cluster.StartNodes(t.Context(), cluster.NodesOptions{
		Options:    cluster.Options{Builder: cluster.Builder{Progress: os.Stderr}},
		Runtimes:   cluster.Runtimes(),
		RuntimeEnv: []string{"_CNI_LOGGING_LEVEL=3", "_CNI_LOGGING_FILE=" + logPath},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := nodes.Stop(); err != nil {
			t.Error(err)
		}
	})
	c := &testCluster{Cluster: nodes, root: root}
	for _, node := range c.Nodes() {
		load := node.Command(t.Context(), "import-image")
		load.Stdin = bytes.NewReader(archive)
		if out, err := load.CombinedOutput(); err != nil {
			t.Fatalf("importing the image on %s: %v\n%s", node.Name(), err, out)
		}
	}
	var once sync.Once
	c.installed = func(t *testing.T) {
		once.Do(func() {
			c.kubectl(t, "apply", "-k", c.path("manifests"))
			for _, node := range c.Nodes() {
				must(t, node.InstallFlannel())
			}
			c.nodesReady(t)
			c.rolledOutInstaller(t)
		})
	}
	return c
}

// binary returns the path of the kactus binary in the image.
func (c *testCluster) binary() string { return c.path("bin/image/" + runtime.GOARCH + "/kactus") }

func (c *testCluster) path(name string) string { return filepath.Join(c.root, name) }

// logState logs what helps to find the cause of a failure.
func (c *testCluster) logState(t *testing.T) {
	for _, args := range [][]string{{"get", "pods", "-A", "-o", "wide"}, {"get", "events", "--sort-by=.lastTimestamp"},
		{"-n", "kube-system", "logs", "-l",
			"app.kubernetes.io/name in (kactus, kactus-agent)", "--prefix", "--tail=100"}} {
		out, _ := c.Kubectl(t.Context(), args...).CombinedOutput()
		t.Logf("kubectl %q:\n%s", args, out)
	}
	for _, node := range c.Nodes() {
		out, _ := node.Command(t.Context(), "tail", "-n", "40", logPath).CombinedOutput()
		t.Logf("the log of kactus on %s:\n%s", node.Name(), out)
	}
}
