package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// TestManifests_AreValid has a real apiserver look at all that kubectl apply -k manifests installs,
// and its counterparts for other platforms.
func TestManifests_AreValid(t *testing.T) {
	t.Parallel()
	manifests := filepath.Join(kactustest.Root(), "manifests")
	dirs := []string{manifests}
	platforms, err := os.ReadDir(filepath.Join(manifests, "platforms"))
	kactustest.Must(t, err)
	for _, platform := range platforms {
		dirs = append(dirs, filepath.Join(manifests, "platforms", platform.Name()))
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) { expectValid(t, dir) })
	}
}

func expectValid(t *testing.T, dir string) {
	t.Helper()
	out, err := kactustest.Kubectl(t.Context(), "", "apply", "--dry-run=server", "--validate=strict", "-k", dir)
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
