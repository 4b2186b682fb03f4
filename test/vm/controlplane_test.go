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

// ownAddresses is the namespace with the Pods that set their addresses themselves. The guest knows
// it by the same name.
const ownAddresses = "own-addresses"

// startControlPlane starts a control plane that the guest can reach, with the Networks and Pods of
// examples/ips and testdata, and in the namespace ownAddresses with those of examples itself.
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
	kubectl(t, cp, "create", "namespace", ownAddresses)
	for _, name := range []string{"green-net", "blue-net", "app1", "app2"} {
		kubectl(t, cp, "apply", "-n", ownAddresses, "-f", filepath.Join(root, "examples", name+".yaml"))
	}
	for _, namespace := range []string{"default", ownAddresses} {
		createPod(t, cp, namespace, "app1")
		createPod(t, cp, namespace, "app2")
	}
	return cp
}

// createPod creates a Pod from a Deployment's template, with the Deployment's name. There are no
// controllers that would do so.
func createPod(t *testing.T, cp *cluster.ControlPlane, namespace, name string) {
	t.Helper()
	pod := template(t, cp, namespace, name)
	pod.APIVersion, pod.Kind, pod.Metadata.Name = "v1", "Pod", name
	if _, err := cp.Create(t.Context(), "/api/v1/namespaces/"+namespace+"/pods", pod); err != nil {
		t.Fatal(err)
	}
}

// template returns the template of a Deployment's Pods.
func template(t *testing.T, cp *cluster.ControlPlane, namespace, name string) cluster.Object {
	t.Helper()
	path := "/apis/apps/v1/namespaces/" + namespace + "/deployments/" + name
	status, answer, err := cp.Do(t.Context(), http.MethodGet, path, "", nil)
	if err != nil || status != http.StatusOK {
		t.Fatalf("getting the Deployment %s/%s: status %d, %v: %s", namespace, name, status, err, answer)
	}
	var deployment struct {
		Spec struct {
			Template cluster.Object `json:"template"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(answer, &deployment); err != nil {
		t.Fatal(err)
	}
	return deployment.Spec.Template
}

// initCommand returns the command of the only init container of a Deployment's Pods, as JSON.
func initCommand(t *testing.T, cp *cluster.ControlPlane, namespace, name string) []byte {
	t.Helper()
	var spec struct {
		InitContainers []struct {
			Command []string `json:"command"`
		} `json:"initContainers"`
	}
	encoded, err := json.Marshal(template(t, cp, namespace, name).Spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(encoded, &spec); err != nil || len(spec.InitContainers) != 1 {
		t.Fatalf("reading the init container of %s: %v in %s", name, err, encoded)
	}
	command, err := json.Marshal(spec.InitContainers[0].Command)
	if err != nil {
		t.Fatal(err)
	}
	return command
}

func kubectl(t *testing.T, cp *cluster.ControlPlane, args ...string) {
	t.Helper()
	if _, err := cp.RunKubectl(t.Context(), "", args...); err != nil {
		t.Fatal(err)
	}
}
