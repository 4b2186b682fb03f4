package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
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

// TestChart_OptionsAreValid does the same with what the chart has only if its values ask for it.
// The Prometheus operator's definitions are not there.
func TestChart_OptionsAreValid(t *testing.T) {
	t.Parallel()
	binaries, err := cluster.Build(t.Context(), os.Stderr, cluster.Helm)
	kactustest.Must(t, err)
	options := `{"defaultNetwork": "", "metrics": {"reachable": true, "port": 9700}, "agent": {"repair": false,
		"repairEvery": "1m", "updateStrategy": {"type": "OnDelete"}, "podLabels": {"a": "b"}},
		"netconf": {"delegates": [{"type": "ptp", "masterPlugin": true}]},
		"installer": {"maxSurge": "10%", "agentNetconf": {"dir": "/etc/cni/agent.d"}, "podAnnotations": {"a": "b"}},
		"image": {"digest": "sha256:` + strings.Repeat("0a", 32) + `", "pullSecrets": [{"name": "s"}]},
		"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
		{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]}}},
		"policies": {"restrictCNIArgs": true, "restrictNetworks": {"enabled": true, "masters": ["ens1", "bond[0-9]"]}},
		"crds": {"networkAttachmentDefinition": true, "keep": false}, "serviceAccount": {"keep": false}}`
	helm := exec.CommandContext(t.Context(), binaries[cluster.Helm], "template", "kactus", "--namespace=kube-system",
		"--values=-", filepath.Join(kactustest.Root(), "manifests", "chart", "kactus"))
	helm.Stdin = strings.NewReader(options)
	rendered, err := helm.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, rendered)
	}
	out, err := kactustest.Kubectl(t.Context(), string(rendered), "apply", "--dry-run=server", "--validate=strict",
		"-f", "-")
	if err != nil || strings.Contains(strings.ToLower(out), "warning") {
		t.Errorf("%v: %s", err, out)
	}
}
