package e2e

import (
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// impostor answers in the apiserver's place, over TLS and HTTP/2, whatever a test wants an apiserver to be able to say. It is the
// kubeconfig that leads to it.
func fakeAPIServer(t *testing.T, tn *kactustest.Tenant, token string, answer http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(answer)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	ca := filepath.Join(tn.Dir, fmt.Sprintf("impostor-%d.pem", kactustest.NextNumber()))
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(tn.Dir, fmt.Sprintf("impostor-%d.kubeconfig", kactustest.NextNumber()))
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: u, user: {token: %q}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
`, s.URL, ca, token)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
