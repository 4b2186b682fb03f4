package cluster_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// These variables name a directory, and make the test binary start something there and run until it
// is killed.
const (
	startEnv      = "KACTUS_TEST_CLUSTER_START"       // a control plane
	startNodesEnv = "KACTUS_TEST_CLUSTER_START_NODES" // a cluster with a node
	upNodesEnv    = "KACTUS_TEST_CLUSTER_UP_NODES"    // a cluster with a node, in the background
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(startEnv); dir != "" {
		startControlPlane(dir)
	}
	if dir := os.Getenv(upNodesEnv); dir != "" {
		startCluster(cluster.UpNodes, dir)
	}
	if dir := os.Getenv(startNodesEnv); dir != "" {
		startCluster(cluster.StartNodes, dir)
	}
	m.Run()
}

func TestStart_DiesWithItsParent(t *testing.T) {
	build(t, cluster.Parts()...)
	dir := t.TempDir()
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), startEnv+"="+dir)
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	parent.Stderr = os.Stderr
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	_, readErr := stdout.Read(make([]byte, 1))
	// The parent has the directory in its environment, not on its command line.
	if got := len(processesNaming(t, dir)); got != 2 || readErr != nil {
		t.Errorf("%d processes run (%v); want 2", got, readErr)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	parent.Wait()
	eventually(t, "all processes have ended", func() bool { return len(processesNaming(t, dir)) == 0 })
}

func TestStartNodes_DiesWithItsParent(t *testing.T) {
	build(t, cluster.ClusterParts()...)
	dir := t.TempDir()
	t.Cleanup(func() { cluster.Down(dir) })
	killAfter(t, startNodesEnv, dir, "node1/kubelet.pid")
	eventually(t, "all processes have ended", func() bool { return len(processesNaming(t, dir)) == 0 })
}

func TestDown_AfterUpNodesWasKilled(t *testing.T) {
	build(t, cluster.ClusterParts()...)
	dir := filepath.Join(t.TempDir(), "killed")
	before := traces(t, "")
	t.Cleanup(func() { cluster.Down(dir) })
	killAfter(t, upNodesEnv, dir, "node1/containerd.pid")
	if err := cluster.Down(dir); err != nil {
		t.Fatal(err)
	}
	expectGone(t, dir)
	expectNoTraces(t, dir, before, nil)
}

// startControlPlane starts a control plane, writes a line when it serves, and waits to be killed.
func startControlPlane(dir string) {
	if _, err := cluster.Start(context.Background(), cluster.Options{Dir: dir}); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	os.Stdout.WriteString("\n")
	select {}
}

// killAfter runs the test binary to start a cluster in dir, and kills it once a file exists there.
func killAfter(t *testing.T, env, dir, file string) {
	t.Helper()
	up := exec.Command(os.Args[0])
	up.Env = append(os.Environ(), env+"="+dir)
	up.Stderr = os.Stderr
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = up.Process.Kill() }) // in case the test fails before
	eventually(t, "start of "+file, func() bool {
		_, err := os.Stat(filepath.Join(dir, file))
		return err == nil
	})
	if err := up.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	up.Wait()
}

// startCluster starts a cluster, for killAfter.
func startCluster(start func(context.Context, cluster.NodesOptions) (*cluster.Cluster, error), dir string) {
	_, err := start(context.Background(), cluster.NodesOptions{Options: cluster.Options{Dir: dir}, Nodes: 1})
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
	}
	os.Exit(1)
}
