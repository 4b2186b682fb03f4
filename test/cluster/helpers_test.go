package cluster_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// build returns the binaries of the parts. A first build takes minutes.
func build(t *testing.T, parts ...cluster.Part) cluster.Binaries {
	t.Helper()
	if testing.Short() {
		t.Skip("needs the parts of a cluster")
	}
	binaries, err := cluster.Build(t.Context(), os.Stderr, parts...)
	if err != nil {
		t.Fatal(err)
	}
	return binaries
}

// kubectl runs kubectl as the administrator and returns its output without surrounding white space.
func kubectl(t *testing.T, c *cluster.Cluster, args ...string) string {
	t.Helper()
	out, err := c.RunKubectl(t.Context(), "", args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// eventually waits until condition returns true, and fails the test after three minutes: the
// machine may be slow and busy.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	const limit = 3 * time.Minute
	for deadline := time.Now().Add(limit); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, limit)
		}
	}
}
