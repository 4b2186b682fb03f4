package kube

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	podPath     = "/api/v1/namespaces/tenant/pods/app"
	networkPath = "/apis/kaloom.com/v1/namespaces/tenant/networks/green"
	podJSON     = `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1",` +
		`"metadata":{"name":"app","namespace":"tenant","uid":"some-uid","annotations":{"networks":"[]"}}}`
	networkJSON = `{"kind":"Network","apiVersion":"kaloom.com/v1",` +
		`"metadata":{"name":"green","namespace":"tenant"},"spec":{"plugin":"bridge","config":"{}"}}`
)

// token must not be in any error.
const token = "s3cr3t-t0k3n"

// apiserver responds as a test says, over HTTP/2 and TLS.
type apiserver struct {
	*httptest.Server
	requests, connections atomic.Int32
}

// serve starts an apiserver that passes each request to the next handler, and all further ones to
// the last.
func serve(t *testing.T, handlers ...http.HandlerFunc) *apiserver {
	t.Helper()
	s := &apiserver{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(s.requests.Add(1))
		handlers[min(n, len(handlers))-1](w, r)
	}))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	s.StartTLS()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// client returns a Client of s with short pauses between tries.
func (s *apiserver) client(t *testing.T) *Client {
	t.Helper()
	return newClient(t, s.kubeconfig(t, s.URL))
}

func newClient(t *testing.T, kubeconfig string) *Client {
	t.Helper()
	c, err := New(kubeconfig, "kactus/test")
	if err != nil {
		t.Fatal(err)
	}
	c.firstPause = time.Millisecond
	t.Cleanup(c.disconnect)
	return c
}

// kubeconfig writes a kubeconfig that trusts the certificate of s, for a server at url.
func (s *apiserver) kubeconfig(t *testing.T, url string) string {
	t.Helper()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return writeKubeconfig(t, url, ca)
}

func writeKubeconfig(t *testing.T, url string, ca []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: u, user: {token: %s}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
`, url, base64.StdEncoding.EncodeToString(ca), token)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// respond responds with a status and a body.
func respond(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// object responds with the Pod or the Network.
func object(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case podPath:
		_, _ = io.WriteString(w, podJSON)
	case networkPath:
		_, _ = io.WriteString(w, networkJSON)
	default:
		http.NotFound(w, r)
	}
}

// abort closes the connection without a response.
func abort(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// abortInTheBody closes the connection in the middle of the response.
func abortInTheBody(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, podJSON[:40])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// hang does not respond until the client is gone.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// failure returns err as an *Error.
func failure(t *testing.T, err error) *Error {
	t.Helper()
	var failed *Error
	if !errors.As(err, &failed) {
		t.Fatalf("got %v, want an *Error", err)
	}
	return failed
}

// A barrier blocks until n goroutines wait for it.
type barrier struct {
	group sync.WaitGroup
}

func newBarrier(n int) *barrier {
	b := &barrier{}
	b.group.Add(n)
	return b
}

func (b *barrier) wait() {
	b.group.Done()
	b.group.Wait()
}

// listenTLS listens on addr with the certificate of s.
func (s *apiserver) listenTLS(addr string) (net.Listener, error) {
	return tls.Listen("tcp", addr, s.TLS)
}
