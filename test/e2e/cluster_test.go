package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// The users of the apiserver beside its administrator, by their bearer tokens.
const (
	nodeToken     = "token-of-the-node"     // may get Pods and Networks, as kactus must
	agentToken    = "token-of-the-agent"    // may get Networks alone, as a node agent's kactus does
	strangerToken = "token-of-the-stranger" // may do nothing
)

const rbac = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: node}
rules:
- {apiGroups: [""], resources: [pods], verbs: [get]}
- {apiGroups: [kaloom.com], resources: [networks], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: agent}
rules:
- {apiGroups: [kaloom.com], resources: [networks], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: node}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: node}
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
	suite.cp, err = cluster.Start(ctx, cluster.Options{Users: []cluster.User{
		{Name: "node", Token: nodeToken}, {Name: "agent", Token: agentToken}, {Name: "stranger", Token: strangerToken},
	}})
	if err != nil {
		return err
	}
	crd := filepath.Join(suite.root, "manifests", "network-crd.yaml")
	_, errCRD := kubectl(ctx, "", "apply", "-f", crd)
	_, errRBAC := kubectl(ctx, rbac, "apply", "-f", "-")
	if err := errors.Join(errCRD, errRBAC, awaitRights(ctx)); err != nil {
		return errors.Join(err, suite.cp.Stop())
	}
	return nil
}

// awaitRights waits until the apiserver serves Networks and knows of the rights, which it learns a moment after they are made.
func awaitRights(ctx context.Context) error {
	last := ""
	ready := poll(ctx, func() bool {
		status, answer, err := suite.cp.Do(ctx, http.MethodGet, "/apis/kaloom.com/v1/networks", "", nil)
		last = fmt.Sprint(status, string(answer), err)
		return status == http.StatusOK && allowed(ctx, "node", "", "pods") && allowed(ctx, "agent", "kaloom.com", "networks")
	})
	if !ready {
		return errors.New("the apiserver does not get ready for the suite: " + last)
	}
	return nil
}

func allowed(ctx context.Context, user, group, resource string) bool {
	out, _ := kubectl(ctx, "", "auth", "can-i", "get", strings.Trim(resource+"."+group, "."), "--as="+user, "--all-namespaces")
	return strings.TrimSpace(out) == "yes"
}

// kubectl runs as the administrator.
func kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := suite.cp.Kubectl(ctx, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, out.String())
	}
	return out.String(), nil
}

// object is what the tests say of a Kubernetes object.
type object struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Metadata   metadata `json:"metadata"`
	Spec       any      `json:"spec,omitempty"`
}

type metadata struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace,omitempty"`
	UID         string            `json:"uid,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type networkSpec struct {
	Plugin string `json:"plugin,omitempty"`
	Config string `json:"config,omitempty"`
}

func namespacesPath() string           { return "/api/v1/namespaces" }
func podsPath(namespace string) string { return "/api/v1/namespaces/" + namespace + "/pods" }
func networksPath(namespace string) string {
	return "/apis/kaloom.com/v1/namespaces/" + namespace + "/networks"
}

func networkObject(name string, spec networkSpec) object {
	return object{APIVersion: "kaloom.com/v1", Kind: "Network", Metadata: metadata{Name: name}, Spec: spec}
}

func podObject(name string, annotations map[string]string) object {
	container := map[string]string{"name": "c", "image": "none"}
	return object{APIVersion: "v1", Kind: "Pod", Metadata: metadata{Name: name, Annotations: annotations}, Spec: map[string]any{"containers": []any{container}}}
}

// create makes an object, and gives it as the apiserver has it.
func create(t *testing.T, path string, o object) object {
	t.Helper()
	body, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	answer := do(t, http.MethodPost, path, body, http.StatusCreated)
	var made object
	if err := json.Unmarshal(answer, &made); err != nil {
		t.Fatal(err)
	}
	return made
}

// remove deletes an object at once, as if its node had said that its containers are gone.
func remove(t *testing.T, path, name string) {
	t.Helper()
	do(t, http.MethodDelete, path+"/"+name+"?gracePeriodSeconds=0", nil, http.StatusOK)
}

func do(t *testing.T, method, path string, body []byte, want int) []byte {
	t.Helper()
	status, answer, err := suite.cp.Do(t.Context(), method, path, "", body)
	if err != nil || status != want {
		t.Fatalf("%s %s: status %d, %v; want %d: %s", method, path, status, err, want, answer)
	}
	return answer
}

// requests counts what kactus asked of a namespace while work ran.
func requests(t *testing.T, namespace string, work func()) []string {
	t.Helper()
	mark, err := suite.cp.AuditMark()
	if err != nil {
		t.Fatal(err)
	}
	work()
	all, err := suite.cp.AuditRequests(t.Context(), mark)
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	for _, r := range all {
		if strings.HasPrefix(r.UserAgent, "kactus/") && strings.Contains(r.URI, "/namespaces/"+namespace+"/") {
			asked = append(asked, fmt.Sprintf("%s %s: %d", r.Verb, r.URI, r.Status))
		}
	}
	return asked
}
