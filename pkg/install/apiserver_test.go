package install

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// jwt returns a token like those of service accounts. A token of a Pod names it.
func jwt(pod string, issuedAt int) string {
	claims := map[string]any{"sub": "system:serviceaccount:kube-system:kactus", "iat": issuedAt}
	if pod != "" {
		claims["kubernetes.io"] = map[string]any{"pod": map[string]string{"name": pod}}
	}
	return encodeJWT(claims)
}

func encodeJWT(claims map[string]any) string {
	payload, _ := json.Marshal(claims)
	return "header." + base64.RawURLEncoding.EncodeToString(payload) + ".signature"
}

// An apiserver knows Pods, and issues tokens.
type apiserver struct {
	*httptest.Server
	mu       sync.Mutex
	now      time.Time
	pods     map[string]int64 // by name: when it was created
	rejected []string         // tokens
	refuse   int              // the status of a refusal to issue tokens; 0: none
	noNodes  bool             // no token is bound to a Node
	down     bool
	asked    []string // what tokens were to be bound to, and what was refused
}

func newAPIServer(t *testing.T) *apiserver {
	t.Helper()
	s := &apiserver{now: time.Now(), pods: map[string]int64{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /version", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /api/v1/namespaces/kube-system/pods/{name}", s.getPod)
	mux.HandleFunc("POST /api/v1/namespaces/kube-system/serviceaccounts/kactus/token", s.issue)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch {
		case s.down:
			panic(http.ErrAbortHandler)
		case slices.Contains(s.rejected, token):
			http.Error(w, "no such token", http.StatusUnauthorized)
		default:
			mux.ServeHTTP(w, r)
		}
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *apiserver) authority() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

func (s *apiserver) getPod(w http.ResponseWriter, r *http.Request) {
	created, ok := s.pods[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	fmt.Fprintf(w, `{"metadata": {"creationTimestamp": %q}}`, time.Unix(created, 0).UTC().Format(time.RFC3339))
}

// issue issues a token that the time of the test tells from others.
func (s *apiserver) issue(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Kind string
		Spec struct {
			ExpirationSeconds int64
			BoundObjectRef    *struct{ APIVersion, Kind, Name string }
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil || request.Kind != "TokenRequest" {
		http.Error(w, "not a TokenRequest", http.StatusBadRequest)
		return
	}
	bound := "nothing"
	if ref := request.Spec.BoundObjectRef; ref != nil {
		bound = ref.APIVersion + "/" + ref.Kind + "/" + ref.Name
	}
	s.asked = append(s.asked, bound)
	if s.refuse != 0 || s.noNodes && bound != "nothing" {
		http.Error(w, "refused", max(s.refuse, http.StatusBadRequest))
		return
	}
	token := encodeJWT(map[string]any{
		"sub": "system:serviceaccount:kube-system:kactus", "iat": s.now.Unix(),
		"exp": s.now.Unix() + request.Spec.ExpirationSeconds,
	})
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"kind": "TokenRequest", "status": {"token": %q}}`, token)
}

// set changes the apiserver.
func (s *apiserver) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *apiserver) time() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// pass lets time pass.
func (s *apiserver) pass(d time.Duration) { s.set(func() { s.now = s.now.Add(d) }) }
