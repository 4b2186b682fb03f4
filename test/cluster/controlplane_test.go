package cluster_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

func TestStart_ControlPlane(t *testing.T) {
	binaries := build(t, cluster.Parts()...)
	t.Setenv("TMPDIR", t.TempDir())
	cp, err := cluster.Start(t.Context(), cluster.Options{
		Binaries: binaries,
		Users:    []cluster.User{{Name: "someone", Token: "known", Groups: []string{"one", "two"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cp.Stop(); err != nil {
			t.Error(err)
		}
	})

	t.Run("the apiserver is ready", func(t *testing.T) {
		expect(t, cp, http.MethodGet, "/readyz", "", http.StatusOK)
	})
	t.Run("kubectl runs as the administrator", func(t *testing.T) { testKubectl(t, cp) })
	t.Run("an unknown token is refused", func(t *testing.T) { testRefusal(t, cp, "unknown", "(Unauthorized)") })
	t.Run("a user without RBAC rights is refused", func(t *testing.T) { testRefusal(t, cp, "known", "(Forbidden)") })
	t.Run("the audit log has requests by user", func(t *testing.T) { testAudit(t, cp) })
	t.Run("address and data survive an outage", func(t *testing.T) { testOutage(t, cp) })
	t.Run("nothing is left after Stop", func(t *testing.T) { testStop(t, cp) })
}

func testKubectl(t *testing.T, cp *cluster.ControlPlane) {
	out, err := cp.RunKubectl(t.Context(), "", "auth", "can-i", "create", "pods/exec", "--all-namespaces")
	if err != nil || strings.TrimSpace(out) != "yes" {
		t.Errorf("kubectl auth can-i: %q, %v", out, err)
	}
	out, err = cp.RunKubectl(t.Context(), `{"apiVersion": "v1"}`, "apply", "-f", "-")
	if err == nil || !strings.Contains(err.Error(), "apply -f -") || !strings.Contains(err.Error(), "kind") {
		t.Errorf("kubectl apply of an object without a kind: %q, %v; want the command and its output", out, err)
	}
}

func testRefusal(t *testing.T, cp *cluster.ControlPlane, token, reason string) {
	mark := auditMark(t, cp)
	err := getPodAs(t, cp, token)
	if err == nil || !strings.Contains(err.Error(), reason) {
		t.Errorf("kubectl get pod with the token %q: %v; want %q", token, err, reason)
	}
	requests, err := cp.AuditRequests(t.Context(), mark)
	if err != nil || len(requests) == 0 {
		t.Fatalf("the audit log: %v, %v; want the refused request", requests, err)
	}
	want := map[string]int{"(Unauthorized)": http.StatusUnauthorized, "(Forbidden)": http.StatusForbidden}[reason]
	if got := requests[len(requests)-1].Status; got != want {
		t.Errorf("status in the audit log: %d; want %d", got, want)
	}
}

func testAudit(t *testing.T, cp *cluster.ControlPlane) {
	expect(t, cp, http.MethodGet, "/api/v1/namespaces/default/pods", "", http.StatusOK)
	mark := auditMark(t, cp)
	expect(t, cp, http.MethodGet, "/api/v1/namespaces/default/pods/absent", "", http.StatusNotFound)
	requests, err := cp.AuditRequests(t.Context(), mark)
	if err != nil {
		t.Fatal(err)
	}
	want := cluster.Request{User: "admin", UserAgent: "Go-http-client/1.1", Method: "get",
		URI: "/api/v1/namespaces/default/pods/absent", Status: http.StatusNotFound}
	if len(requests) != 1 || requests[0] != want {
		t.Errorf("requests since the mark: %+v; want only %+v", requests, want)
	}
}

func testOutage(t *testing.T, cp *cluster.ControlPlane) {
	pod := cluster.Object{
		APIVersion: "v1", Kind: "Pod", Metadata: cluster.ObjectMetadata{Name: "survivor"},
		Spec: map[string]any{"containers": []any{map[string]string{"name": "c", "image": "none"}}},
	}
	created, err := cp.Create(t.Context(), "/api/v1/namespaces/default/pods", pod)
	if err != nil || created.Metadata.UID == "" {
		t.Fatalf("the created Pod: %+v, %v; want a UID", created, err)
	}
	if _, err := cp.Create(t.Context(), "/api/v1/namespaces/default/pods", pod); err == nil {
		t.Error("the same Pod was created twice")
	}
	url := cp.URL()
	if err := cp.StopAPIServer(); err != nil {
		t.Fatal(err)
	}
	if status, _, err := cp.Do(t.Context(), http.MethodGet, "/readyz", "", nil); err == nil {
		t.Errorf("the stopped apiserver responds with status %d", status)
	}
	if err := cp.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if cp.URL() != url {
		t.Errorf("the URL after the outage: %s; want %s", cp.URL(), url)
	}
	expect(t, cp, http.MethodGet, "/api/v1/namespaces/default/pods/survivor", "", http.StatusOK)
}

func testStop(t *testing.T, cp *cluster.ControlPlane) {
	if got := len(processesNaming(t, cp.Dir())); got != 2 {
		t.Errorf("%d processes before Stop; want 2: etcd and kube-apiserver", got)
	}
	if err := cp.Stop(); err != nil {
		t.Fatal(err)
	}
	expectGone(t, cp.Dir())
	if err := cp.Stop(); err != nil {
		t.Errorf("a second Stop: %v", err)
	}
}

func TestStart_FailsWhenAProcessEnds(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	binary := filepath.Join(t.TempDir(), "etcd")
	if err := os.WriteFile(binary, []byte("#!/bin/sh\necho the disk is on fire\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := cluster.Start(t.Context(), cluster.Options{Binaries: cluster.Binaries{cluster.Etcd: binary}})
	if err == nil || !strings.Contains(err.Error(), "exit status 3") ||
		!strings.Contains(err.Error(), "the disk is on fire") {
		t.Errorf("error: %v; want the exit status and the log", err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func expect(t *testing.T, cp *cluster.ControlPlane, method, path, body string, want int) {
	t.Helper()
	got, answer, err := cp.Do(t.Context(), method, path, "", []byte(body))
	if err != nil || got != want {
		t.Errorf("%s %s: status %d, %v; want %d: %s", method, path, got, err, want, answer)
	}
}

// getPodAs gets a Pod with kubectl, as the user with this token.
func getPodAs(t *testing.T, cp *cluster.ControlPlane, token string) error {
	t.Helper()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := cp.WriteKubeconfig(kubeconfig, token); err != nil {
		t.Fatal(err)
	}
	_, err := cp.RunKubectl(t.Context(), "", "--kubeconfig", kubeconfig, "get", "pod", "p")
	return err
}

func auditMark(t *testing.T, cp *cluster.ControlPlane) cluster.AuditMark {
	t.Helper()
	mark, err := cp.AuditMark()
	if err != nil {
		t.Fatal(err)
	}
	return mark
}
