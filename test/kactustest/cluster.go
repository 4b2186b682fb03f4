package kactustest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// The bearer tokens of the apiserver's users, other than its administrator.
const (
	// NodeToken is for kactus, with the rights that manifests/ gives it.
	NodeToken = "token-of-the-node"
	// AgentToken is for a node agent's kactus, which may get Networks and
	// NetworkAttachmentDefinitions only.
	AgentToken = "token-of-the-agent"
	// NodeAgentToken is for kactus agent.
	NodeAgentToken = "token-of-the-node-agent"
	StrangerToken  = "token-of-the-stranger" // may do nothing
)

// rbac are the rights of the users, apart from the ClusterRole kactus of manifests/.
const rbac = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: agent}
rules:
- {apiGroups: [kaloom.com], resources: [networks], verbs: [get]}
- {apiGroups: [k8s.cni.cncf.io], resources: [network-attachment-definitions], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: node-agent}
rules:
- {apiGroups: [""], resources: [pods], verbs: [get, list, watch]}
- {apiGroups: [""], resources: [pods/status], verbs: [patch]}
- {apiGroups: [events.k8s.io], resources: [events], verbs: [create, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: node-agent}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: node-agent}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: node-agent}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: node}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: kactus}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: node}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: agent}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: agent}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: agent}]
`

// startCluster starts the control plane and gives it the CRD and the users' rights.
func startCluster() error {
	ctx := context.Background()
	var err error
	suite.controlPlane, err = cluster.Start(ctx, cluster.Options{Users: []cluster.User{
		{Name: "node", Token: NodeToken}, {Name: "agent", Token: AgentToken},
		{Name: "node-agent", Token: NodeAgentToken}, {Name: "stranger", Token: StrangerToken},
	}})
	if err != nil {
		return err
	}
	err = applyManifests(ctx, "network-crd.yaml", "network-attachment-definition-crd.yaml",
		"kactus-serviceaccount-and-rbac.yaml")
	_, errRBAC := Kubectl(ctx, rbac, "apply", "-f", "-")
	if err := errors.Join(err, errRBAC, awaitRights(ctx)); err != nil {
		return errors.Join(err, suite.controlPlane.Stop())
	}
	return nil
}

// applyManifests applies files of manifests/, as soon as the apiserver has made the namespace
// kube-system, which takes a moment.
func applyManifests(ctx context.Context, names ...string) (err error) {
	args := []string{"apply"}
	for _, name := range names {
		args = append(args, "-f", filepath.Join(suite.root, "manifests", name))
	}
	Poll(ctx, func() bool {
		_, err = Kubectl(ctx, "", args...)
		return err == nil
	})
	return err
}

// awaitRights waits until the apiserver serves Networks and NetworkAttachmentDefinitions and
// enforces the users' rights, which takes a moment after all are created.
func awaitRights(ctx context.Context) error {
	last := ""
	serves := func(path string) bool {
		status, answer, err := suite.controlPlane.Do(ctx, http.MethodGet, path, "", nil)
		last = fmt.Sprint(status, string(answer), err)
		return status == http.StatusOK
	}
	ready := Poll(ctx, func() bool {
		return serves("/apis/kaloom.com/v1/networks") &&
			serves("/apis/k8s.cni.cncf.io/v1/network-attachment-definitions") &&
			allowed(ctx, "node", "", "pods") && allowed(ctx, "agent", "kaloom.com", "networks")
	})
	if !ready {
		return errors.New("apiserver not ready for the suite: " + last)
	}
	return nil
}

func allowed(ctx context.Context, user, group, resource string) bool {
	what := strings.Trim(resource+"."+group, ".")
	out, _ := Kubectl(ctx, "", "auth", "can-i", "get", what, "--as="+user, "--all-namespaces")
	return strings.TrimSpace(out) == "yes"
}

// Kubectl runs kubectl as the administrator and returns what it prints on stdout and stderr.
func Kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := suite.controlPlane.Kubectl(ctx, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, out.String())
	}
	return out.String(), nil
}

// An Object is a Kubernetes object, as far as the tests need one.
type Object struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Metadata   Metadata `json:"metadata"`
	Spec       any      `json:"spec,omitempty"`
}

// Metadata holds the metadata of an [Object].
type Metadata struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace,omitempty"`
	UID         string            `json:"uid,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// NetworkSpec is the spec of a Network.
type NetworkSpec struct {
	Plugin string `json:"plugin,omitempty"`
	Config string `json:"config,omitempty"`
}

// PodsPath returns the URL path of a namespace's Pods.
func PodsPath(namespace string) string { return "/api/v1/namespaces/" + namespace + "/pods" }

// NetworksPath returns the URL path of a namespace's Networks.
func NetworksPath(namespace string) string {
	return "/apis/kaloom.com/v1/namespaces/" + namespace + "/networks"
}

// NetworkObject returns a Network.
func NetworkObject(name string, spec NetworkSpec) Object {
	return Object{APIVersion: "kaloom.com/v1", Kind: "Network", Metadata: Metadata{Name: name}, Spec: spec}
}

// PodObject returns a Pod with one container.
func PodObject(name string, annotations map[string]string) Object {
	container := map[string]string{"name": "c", "image": "none"}
	return Object{
		APIVersion: "v1", Kind: "Pod", Metadata: Metadata{Name: name, Annotations: annotations},
		Spec: map[string]any{"containers": []any{container}},
	}
}

// Create creates an object at path and returns it as the apiserver stores it.
func Create(t *testing.T, path string, o Object) Object {
	t.Helper()
	answer := Do(t, http.MethodPost, path, Encode(t, o), http.StatusCreated)
	var created Object
	Must(t, json.Unmarshal(answer, &created))
	return created
}

// Delete deletes an object at once, without waiting for a kubelet.
func Delete(t *testing.T, path, name string) {
	t.Helper()
	Do(t, http.MethodDelete, path+"/"+name+"?gracePeriodSeconds=0", nil, http.StatusOK)
}

// Patch applies a JSON merge patch to the object at path.
func Patch(t *testing.T, path, patch string) {
	t.Helper()
	const mediaType = "application/merge-patch+json"
	status, answer, err := suite.controlPlane.Do(t.Context(), http.MethodPatch, path, mediaType, []byte(patch))
	if err != nil || status != http.StatusOK {
		t.Fatalf("PATCH %s: status %d, %v: %s", path, status, err, answer)
	}
}

// Do sends a request to the apiserver as the administrator, fails the test if the answer does not
// have the status want, and returns the answer's body.
func Do(t *testing.T, method, path string, body []byte, want int) []byte {
	t.Helper()
	status, answer, err := suite.controlPlane.Do(t.Context(), method, path, "", body)
	if err != nil || status != want {
		t.Fatalf("%s %s: status %d, %v; want %d: %s", method, path, status, err, want, answer)
	}
	return answer
}

// Requests calls do and returns the requests that kactus meanwhile sent for objects of the
// namespace, from the apiserver's audit log.
func Requests(t *testing.T, namespace string, do func()) []string {
	t.Helper()
	return requestsOf(t, "kactus/", namespace, do)
}

// AgentRequests does what [Requests] does, for those of kactus agent itself.
func AgentRequests(t *testing.T, namespace string, do func()) []string {
	t.Helper()
	return requestsOf(t, "kactus-agent/", namespace, do)
}

func requestsOf(t *testing.T, userAgent, namespace string, do func()) []string {
	t.Helper()
	mark, err := suite.controlPlane.AuditMark()
	Must(t, err)
	do()
	all, err := suite.controlPlane.AuditRequests(t.Context(), mark)
	Must(t, err)
	var requests []string
	for _, r := range all {
		if strings.HasPrefix(r.UserAgent, userAgent) && strings.Contains(r.URI, "/namespaces/"+namespace+"/") {
			requests = append(requests, fmt.Sprintf("%s %s: %d", r.Method, r.URI, r.Status))
		}
	}
	return requests
}

// serverLine matches the apiserver's URL in a kubeconfig of JSON or YAML.
var serverLine = regexp.MustCompile(`"?server"?: *"?[^",\n]*"?`)

// ReplaceServer returns kubeconfig with another URL of the apiserver.
func ReplaceServer(kubeconfig, url string) string {
	return serverLine.ReplaceAllString(kubeconfig, "server: "+url)
}

// UnreachableKubeconfig writes a kubeconfig with that token for an apiserver that refuses
// connections, and returns its path.
func (tn *Tenant) UnreachableKubeconfig(t *testing.T, token string) string {
	t.Helper()
	path := tn.NewKubeconfig(t, "unreachable", token)
	kubeconfig, err := os.ReadFile(path)
	Must(t, err)
	Must(t, os.WriteFile(path, []byte(ReplaceServer(string(kubeconfig), "https://127.0.0.1:1")), 0o600))
	return path
}
