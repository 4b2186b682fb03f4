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

// startControlPlane starts one that the guest reaches, with the Networks and the Pods of examples/ips and those of testdata.
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

// createPod makes the Pod of a Deployment, and calls it the same: there are no controllers.
func createPod(t *testing.T, cp *cluster.ControlPlane, name string) {
	t.Helper()
	type metadata struct {
		Name        string            `json:"name"`
		Annotations map[string]string `json:"annotations"`
	}
	type pod struct {
		Metadata metadata        `json:"metadata"`
		Spec     json.RawMessage `json:"spec"`
	}
	var deployment struct {
		Spec struct {
			Template pod `json:"template"`
		} `json:"spec"`
	}
	answer := do(t, cp, http.MethodGet, "/apis/apps/v1/namespaces/default/deployments/"+name, nil, http.StatusOK)
	if err := json.Unmarshal(answer, &deployment); err != nil {
		t.Fatal(err)
	}
	made := deployment.Spec.Template
	made.Metadata.Name = name
	body, err := json.Marshal(made)
	if err != nil {
		t.Fatal(err)
	}
	do(t, cp, http.MethodPost, "/api/v1/namespaces/default/pods", body, http.StatusCreated)
}

func do(t *testing.T, cp *cluster.ControlPlane, method, path string, body []byte, want int) []byte {
	t.Helper()
	status, answer, err := cp.Do(t.Context(), method, path, "", body)
	if err != nil || status != want {
		t.Fatalf("%s %s: status %d, %v; want %d: %s", method, path, status, err, want, answer)
	}
	return answer
}

func kubectl(t *testing.T, cp *cluster.ControlPlane, args ...string) {
	t.Helper()
	run(t, cp.Kubectl(t.Context(), args...))
}
