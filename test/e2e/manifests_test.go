package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// TestManifests_AreValid has a real apiserver look at all that kubectl apply -k manifests installs.
func TestManifests_AreValid(t *testing.T) {
	t.Parallel()
	out, err := kactustest.Kubectl(t.Context(), "", "apply", "--dry-run=server", "--validate=strict",
		"-k", filepath.Join(kactustest.Root(), "manifests"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"daemonset.apps/kactus ", "daemonset.apps/kactus-agent ",
		"validatingadmissionpolicybinding.admissionregistration.k8s.io/kactus-agent "} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in: %s", want, out)
		}
	}
	if strings.Contains(strings.ToLower(out), "warning") {
		t.Error(out)
	}
}
