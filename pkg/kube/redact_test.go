package kube

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Some proxies respond with a page that shows the request, to help with debugging.
func TestClient_RedactsTheToken(t *testing.T) {
	page := "<html>You sent: Authorization: Bearer " + token + "</html>"
	status := func(message string) http.HandlerFunc {
		return respond(http.StatusUnauthorized, `{"kind":"Status","message":"`+message+`"}`)
	}
	ok := func(body string) http.HandlerFunc {
		return respond(http.StatusOK, strings.ReplaceAll(body, "TOKEN", token))
	}
	for name, handler := range map[string]http.HandlerFunc{
		"HTML":                             respond(http.StatusForbidden, page),
		"HTML that is cut in the token":    respond(http.StatusForbidden, strings.Repeat("x", 128-len(token)/2)+token),
		"a Status":                         status("Bearer " + token + " is unknown"),
		"a Status with an escaped token":   status(strings.Replace(token, "-", `\u002d`, 1)),
		"HTML with status 200":             respond(http.StatusOK, page),
		"an object with the token as kind": ok(`{"kind":"TOKEN","metadata":{"name":"TOKEN"}}`),
		"the token as metadata":            ok(`{"kind":"PartialObjectMetadata","metadata":"TOKEN"}`),
		"the token in a wrong type":        ok(`{"kind":["TOKEN"],"spec":{"config":["TOKEN"]}}`),
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, handler)
			c := s.client(t)
			_, err := c.Pod(within(t, 10*time.Second), "tenant", "app")
			if failure(t, err); strings.Contains(err.Error(), token[:len(token)/2]) {
				t.Errorf("the error quotes the token: %v", err)
			}
			_, err = c.Network(within(t, 10*time.Second), "tenant", "green")
			if failure(t, err); strings.Contains(err.Error(), token[:len(token)/2]) {
				t.Errorf("the error quotes the token: %v", err)
			}
		})
	}
}

func TestTry_RedactsAMalformedResponse(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "Bearer "+token+"\r\n\r\n")
		_ = conn.Close()
	}))
	s.StartTLS() // HTTP/1.1 only
	defer s.Close()
	as := &apiserver{Server: s}
	c := as.client(t)
	_, _, failed := c.try(within(t, 10*time.Second), c.base.JoinPath("api"), "application/json")
	if failed == nil || !strings.Contains(failed.Error(), "malformed") || strings.Contains(failed.Error(), token) {
		t.Errorf("got %v", failed)
	}
}

func TestPod_DoesNotFollowRedirects(t *testing.T) {
	var requests atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		object(w, r)
	}))
	defer elsewhere.Close()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
	})
	_, err := s.client(t).Pod(within(t, 10*time.Second), "tenant", "app")
	failed := failure(t, err)
	if failed.Status != http.StatusTemporaryRedirect || failed.Temporary() || requests.Load() > 0 {
		t.Errorf("the other server got %d requests: %v", requests.Load(), err)
	}
}

func TestTry_LimitsTheHeader(t *testing.T) {
	for _, http2 := range []bool{true, false} {
		handler := func(w http.ResponseWriter, r *http.Request) {
			for i := range 128 {
				w.Header().Add("X-Long", strings.Repeat(string(rune('a'+i%26)), 4096))
			}
			object(w, r)
		}
		s := &apiserver{Server: httptest.NewUnstartedServer(http.HandlerFunc(handler))}
		s.EnableHTTP2 = http2
		s.StartTLS()
		defer s.Close()
		c := s.client(t)
		_, _, failed := c.try(within(t, 10*time.Second), c.base.JoinPath(podPath), "application/json")
		if failed == nil {
			t.Errorf("HTTP/2 %v: got no error for a header of 512 KiB", http2)
		}
	}
}

func TestSecrets_KeepsTheLast(t *testing.T) {
	s := &secrets{}
	for i := range 100 {
		s.add(fmt.Sprintf("secret%03d", i))
		s.add("secret099")
	}
	if got := s.redact("secret000 secret098 secret099"); len(s.values) != maxSecrets ||
		got != "secret000 (redacted) (redacted)" {
		t.Errorf("%d secrets: %s", len(s.values), got)
	}
}
