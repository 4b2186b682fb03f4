package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// The media types of requests, most of which are patches.
const (
	plainJSON      = "application/json"
	mergePatch     = "application/merge-patch+json"
	strategicPatch = "application/strategic-merge-patch+json"
	applyPatch     = "application/apply-patch+yaml"
)

const agentTokenPath = "/api/v1/namespaces/kube-system/serviceaccounts/kactus-agent/token"

// An agentUser is a client with a token of the node agent's service account.
type agentUser struct {
	client *http.Client
	token  string
}

// newAgentUser asks for a token that is bound to the object of that kind and name; none if the kind
// is empty.
func newAgentUser(t *testing.T, kind, name string) agentUser {
	t.Helper()
	spec := map[string]any{"expirationSeconds": 3600}
	if kind != "" {
		spec["boundObjectRef"] = map[string]any{"apiVersion": "v1", "kind": kind, "name": name}
	}
	body := kactustest.Encode(t, map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec,
	})
	var answer struct {
		Status struct {
			Token string `json:"token"`
		} `json:"status"`
	}
	created := kactustest.Do(t, http.MethodPost, agentTokenPath, body, http.StatusCreated)
	kactustest.Must(t, json.Unmarshal(created, &answer))
	return agentUserWith(t, answer.Status.Token)
}

// newUnitUser gets a token for a node as docs/agent-systemd.md says: as the user who may renew it.
func newUnitUser(t *testing.T, node string) agentUser {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join(kactustest.Root(), "docs", "agent-systemd.md"))
	kactustest.Must(t, err)
	_, block, _ := strings.Cut(string(doc), "```yaml\napiVersion: rbac")
	role, _, _ := strings.Cut("apiVersion: rbac"+block, "```")
	if out, err := kactustest.Kubectl(t.Context(), role, "apply", "--validate=strict", "-f", "-"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	create := []string{"--as", "kactus-agent-renewal", "-n", "kube-system", "create", "token", "kactus-agent",
		"--duration", "24h", "--bound-object-kind", "Node", "--bound-object-name", node}
	var token string
	kactustest.Eventually(t, "the right to create tokens is there", func() bool {
		token, err = kactustest.Kubectl(t.Context(), "", create...)
		return err == nil
	})
	create[6] = "kactus"
	if out, err := kactustest.Kubectl(t.Context(), "", create...); err == nil || !strings.Contains(out, "orbidden") {
		t.Errorf("a token of another account: %v: %s", err, out)
	}
	return agentUserWith(t, strings.TrimSpace(token))
}

func agentUserWith(t *testing.T, token string) agentUser {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(kactustest.ControlPlane().CAPEM())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return agentUser{client: &http.Client{Transport: transport}, token: token}
}

func (a agentUser) do(t *testing.T, method, path, contentType, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, kactustest.ControlPlane().URL()+path,
		bytes.NewReader([]byte(body)))
	kactustest.Must(t, err)
	request.Header.Set("Authorization", "Bearer "+a.token)
	request.Header.Set("Content-Type", contentType)
	response, err := a.client.Do(request)
	kactustest.Must(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	kactustest.Must(t, err)
	return response.StatusCode, string(answer)
}

// patchStatus patches the status of the Pod at path.
func (a agentUser) patchStatus(t *testing.T, path, contentType, patch string) (int, string) {
	t.Helper()
	return a.do(t, http.MethodPatch, path+"/status?fieldManager=kactus-agent", contentType, patch)
}

// installAgent applies the manifest of the node agent, and makes the Nodes n1 and n2, with a Pod of
// the agent on n1. It returns a user with that Pod's token.
func installAgent(t *testing.T) agentUser {
	t.Helper()
	file := filepath.Join(kactustest.Root(), "manifests", "kactus-agent.yaml")
	if out, err := kactustest.Kubectl(t.Context(), "", "apply", "--validate=strict", "-f", file); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() {
		for _, what := range [][]string{
			{"-f", file}, {"nodes", "n1", "n2"},
			{"-n", "kube-system", "pod", "kactus-agent-n1", "--grace-period=0", "--force"},
		} {
			_, err := kactustest.Kubectl(context.Background(), "", append([]string{"delete"}, what...)...)
			if err != nil {
				t.Error(err)
			}
		}
	})
	for _, name := range []string{"n1", "n2"} {
		kactustest.Create(t, "/api/v1/nodes",
			kactustest.Object{APIVersion: "v1", Kind: "Node", Metadata: kactustest.Metadata{Name: name}})
	}
	kactustest.Create(t, kactustest.PodsPath("kube-system"), agentPod("kactus-agent-n1", "n1", "kactus-agent"))
	return newAgentUser(t, "Pod", "kactus-agent-n1")
}

// agentPod returns a Pod on a node.
func agentPod(name, node, account string) kactustest.Object {
	pod := kactustest.PodObject(name, map[string]string{"networks": "[]", "owner": "somebody"})
	spec := pod.Spec.(map[string]any)
	spec["serviceAccountName"] = account
	if node != "" {
		spec["nodeName"] = node
	}
	return pod
}
