package cluster_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// expectGone fails the test if the state directory exists, or a process has its path in its command
// line.
func expectGone(t *testing.T, dir string) {
	t.Helper()
	if left := processesNaming(t, dir); len(left) > 0 {
		t.Errorf("processes left: %q", left)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the state directory %s: %v; want %v", dir, err, fs.ErrNotExist)
	}
}

// processesNaming returns the command lines that contain text.
func processesNaming(t *testing.T, text string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(line), text) {
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

// traces returns the mounts and network interfaces of the machine, and the cgroups of the cluster
// in dir but no others: other tests may run clusters at the same time.
func traces(t *testing.T, dir string) []string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	found := strings.Split(string(mounts), "\n")
	cgroup := cluster.CgroupOf(dir)
	for _, pattern := range []string{"/sys/class/net/*", "/run/netns/*", "/sys/fs/cgroup" + cgroup,
		"/sys/fs/cgroup/*" + cgroup} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, names...)
	}
	return found
}

// expectNoTraces waits until the cluster in dir has no trace that is not in before, and no process
// runs in the namespaces.
func expectNoTraces(t *testing.T, dir string, before, namespaces []string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		left := processesIn(t, namespaces)
		for _, trace := range traces(t, dir) {
			if !slices.Contains(before, trace) {
				left = append(left, trace)
			}
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("left behind: %q", left)
			return
		}
	}
}

// namespacesOf returns the names of all nodes' namespaces.
func namespacesOf(t *testing.T, c *cluster.Cluster) []string {
	t.Helper()
	var found []string
	for _, node := range c.Nodes() {
		for _, kind := range []string{"mnt", "net", "pid"} {
			name, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(node.PID()), "ns", kind))
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, name)
		}
	}
	// At least the first process, the runtime and the kubelet run on a node.
	if len(processesIn(t, found)) < 3*len(c.Nodes()) {
		t.Errorf("processes in the nodes' namespaces: %q; want at least three on each node", processesIn(t, found))
	}
	return found
}

// processesIn returns the processes in the namespaces.
func processesIn(t *testing.T, namespaces []string) []string {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, process := range processes {
		for _, kind := range []string{"mnt", "net", "pid"} {
			name, err := os.Readlink(filepath.Join(process, "ns", kind))
			if err == nil && slices.Contains(namespaces, name) {
				line, _ := os.ReadFile(filepath.Join(process, "cmdline"))
				found = append(found, process+" "+string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
				break
			}
		}
	}
	return found
}
