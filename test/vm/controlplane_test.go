package vm_test

import (
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/vm"
)

// startControlPlane starts a control plane that the guest can reach, with the Networks and Pods of
// examples/ips and testdata.
func startControlPlane(t *testing.T) *cluster.ControlPlane {
	t.Helper()
	cp, err := cluster.Start(t.Context(), cluster.Options{ExtraIPs: []net.IP{net.ParseIP(vm.HostIP)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cp.Stop(); err != nil {
			t.Error(err)
		}
	})
	root := findRoot(t)
	kubectl(t, cp, "apply", "-f", filepath.Join(root, "manifests", "network-crd.yaml"))
	kubectl(t, cp, "wait", "--for=condition=Established", "crd/networks.kaloom.com")
	kubectl(t, cp, "apply", "-f", filepath.Join(root, "examples", "ips"), "-f", "testdata")
	createPod(t, cp, "app1")
	createPod(t, cp, "app2")
	return cp
}

// createPod creates a Pod from a Deployment's template, with the Deployment's name. There are no
// controllers that would do so.
func createPod(t *testing.T, cp *cluster.ControlPlane, name string) {
	t.Helper()
	const deployments = "/apis/apps/v1/namespaces/default/deployments/"
	status, answer, err := cp.Do(t.Context(), http.MethodGet, deployments+name, "", nil)
	if err != nil || status != http.StatusOK {
		t.Fatalf("getting the Deployment %s: status %d, %v: %s", name, status, err, answer)
	}
	var deployment struct {
		Spec struct {
			Template cluster.Object `json:"template"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(answer, &deployment); err != nil {
		t.Fatal(err)
	}
	pod := deployment.Spec.Template
	pod.APIVersion, pod.Kind, pod.Metadata.Name = "v1", "Pod", name
	if _, err := cp.Create(t.Context(), "/api/v1/namespaces/default/pods", pod); err != nil {
		t.Fatal(err)
	}
}

func kubectl(t *testing.T, cp *cluster.ControlPlane, args ...string) {
	t.Helper()
	if _, err := cp.RunKubectl(t.Context(), "", args...); err != nil {
		t.Fatal(err)
	}
}
