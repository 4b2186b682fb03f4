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

// fakeAPIServer starts an apiserver whose answers the test gives, over TLS and HTTP/2, and returns
// the path of a kubeconfig for it.
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
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	kactustest.Must(t, os.WriteFile(ca, certificate, 0o600))
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
