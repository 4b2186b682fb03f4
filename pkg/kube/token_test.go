package kube

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

func (s *apiserver) withToken(t *testing.T) *Client {
	t.Helper()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	c, err := NewWithToken(s.URL, ca, token, "kactus/test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestRequestToken(t *testing.T) {
	for name, tt := range map[string]struct {
		node string
		spec map[string]any
	}{
		"bound to a Node": {"node1", map[string]any{"expirationSeconds": 86400.0,
			"boundObjectRef": map[string]any{"apiVersion": "v1", "kind": "Node", "name": "node1"}}},
		"bound to nothing": {"", map[string]any{"expirationSeconds": 86400.0}},
	} {
		t.Run(name, func(t *testing.T) {
			var path, authorization string
			var body map[string]any
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				path, authorization = r.Method+" "+r.URL.Path, r.Header.Get("Authorization")
				if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
					t.Error(err)
				}
				w.WriteHeader(http.StatusCreated)
				_, _ = io.WriteString(w, `{"kind": "TokenRequest", "status": {"token": "issued"}}`)
			})
			got, err := s.withToken(t).RequestToken(t.Context(),
				TokenRequest{Namespace: "kube-system", Account: "kactus", Node: tt.node, Lifetime: 24 * time.Hour})
			if err != nil || got != "issued" || authorization != "Bearer "+token ||
				path != "POST /api/v1/namespaces/kube-system/serviceaccounts/kactus/token" {
				t.Errorf("got %q, %v by %s", got, err, path)
			}
			want := map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": tt.spec}
			if !reflect.DeepEqual(body, want) {
				t.Errorf("sent %v, want %v", body, want)
			}
		})
	}
}

func TestHasServer(t *testing.T) {
	kubeconfig := writeKubeconfig(t, "https://10.0.0.1:443", nil)
	for server, want := range map[string]bool{
		"https://10.0.0.1:443": true, "https://10.0.0.1": false, "http://10.0.0.1:443": false,
		"https://10.0.0.2:443": false, "": false, ":": false,
	} {
		if got := HasServer(kubeconfig, server); got != want {
			t.Errorf("%q: got %v", server, got)
		}
	}
	if HasServer(kubeconfig+"-none", "https://10.0.0.1:443") {
		t.Error("a kubeconfig that is missing has a server")
	}
}

func TestSend_Errors(t *testing.T) {
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		status  int
		word    string
	}{
		"a refusal":          {respond(403, `{"kind": "Status", "message": "no right"}`), 403, "no right"},
		"an echo":            {respond(401, "Bearer "+token), 401, "redacted"},
		"a redirect":         {respond(307, ""), 307, "307"},
		"no token":           {respond(201, `{"status": {}}`), 0, "no token"},
		"not an object":      {respond(201, `"token"`), 0, "decode"},
		"a connection reset": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0, "POST"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, tt.handler)
			_, err := s.withToken(t).RequestToken(t.Context(), TokenRequest{Namespace: "ns", Account: "a"})
			var failed *Error
			if !errors.As(err, &failed) || failed.Status != tt.status || !strings.Contains(err.Error(), tt.word) ||
				strings.Contains(err.Error(), token) {
				t.Errorf("got %v", err)
			}
			if s.requests.Load() != 1 {
				t.Errorf("%d requests, want 1", s.requests.Load())
			}
		})
	}
	t.Run("no response", func(t *testing.T) {
		s := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		c := s.withToken(t)
		c.attemptTimeout = 20 * time.Millisecond
		if err := c.Authenticate(t.Context()); err == nil || !strings.Contains(err.Error(), "no response within") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a wrong address", func(t *testing.T) {
		if _, err := NewWithToken("ftp://x", nil, token, ""); err == nil || !strings.Contains(err.Error(), "URL") {
			t.Errorf("got %v", err)
		}
	})
}

func TestPodCreated(t *testing.T) {
	s := serve(t, respond(200, `{"metadata": {"creationTimestamp": "2026-11-25T10:00:00Z"}}`))
	got, err := s.withToken(t).PodCreated(t.Context(), "ns", "pod")
	if want := time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC); err != nil || !got.Equal(want) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, body := range []string{`{"metadata": {}}`, `{"metadata": {"creationTimestamp": "soon"}}`, `{}`, ``} {
		s := serve(t, respond(200, body))
		if _, err := s.withToken(t).PodCreated(t.Context(), "ns", "pod"); err == nil {
			t.Errorf("%s: no error", body)
		}
	}
}

func TestAuthenticate(t *testing.T) {
	for status, want := range map[int]int{200: 0, 401: 401, 403: 403, 500: 500} {
		s := serve(t, respond(status, "{}"))
		err := s.withToken(t).Authenticate(t.Context())
		var failed *Error
		errors.As(err, &failed)
		if want == 0 && err != nil || want != 0 && (failed == nil || failed.Status != want) {
			t.Errorf("%d: got %v", status, err)
		}
	}
}
