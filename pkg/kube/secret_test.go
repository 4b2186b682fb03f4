package kube

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Some proxies answer with a page that shows the request, for people to find what is wrong with it.
func TestAnAnswerThatRepeatsTheTokenIsNotQuoted(t *testing.T) {
	page := "<html>You sent: Authorization: Bearer " + token + "</html>"
	for name, handler := range map[string]http.HandlerFunc{
		"a page":                            answer(http.StatusForbidden, page),
		"a page that is cut in the token":   answer(http.StatusForbidden, strings.Repeat("x", 128-len(token)/2)+token),
		"a Status":                          answer(http.StatusUnauthorized, `{"kind":"Status","message":"Bearer `+token+` is nobody's"}`),
		"a Status that is written so":       answer(http.StatusUnauthorized, `{"kind":"Status","message":"`+strings.Replace(token, "-", `\u002d`, 1)+`"}`),
		"a page with the status 200":        answer(http.StatusOK, page),
		"an object of that kind":            answer(http.StatusOK, `{"kind":"`+token+`","metadata":{"name":"`+token+`"}}`),
		"an object in whose place it is":    answer(http.StatusOK, `{"kind":"PartialObjectMetadata","metadata":"`+token+`"}`),
		"an object with it in a wrong type": answer(http.StatusOK, `{"kind":["`+token+`"],"spec":{"config":["`+token+`"]}}`),
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

func TestAnAnswerThatIsNotHTTPAndRepeatsTheTokenIsNotQuoted(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "Bearer "+token+"\r\n\r\n")
		_ = conn.Close()
	}))
	s.StartTLS() // of HTTP/1 alone
	defer s.Close()
	as := &apiserver{Server: s}
	c := as.client(t)
	_, _, failed := c.try(within(t, 10*time.Second), c.base.JoinPath("api"), "application/json")
	if failed == nil || !strings.Contains(failed.Error(), "malformed") || strings.Contains(failed.Error(), token) {
		t.Errorf("got %v", failed)
	}
}

func TestARedirectIsNotFollowedAndTheTokenGoesNowhereElse(t *testing.T) {
	var asked atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		object(w, r)
	}))
	defer elsewhere.Close()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
	})
	_, err := s.client(t).Pod(within(t, 10*time.Second), "tenant", "app")
	if failed := failure(t, err); failed.Status != http.StatusTemporaryRedirect || failed.Temporary() || asked.Load() > 0 {
		t.Errorf("the other server was asked %d times: %v", asked.Load(), err)
	}
}

func TestAHeaderWithoutEndIsNotRead(t *testing.T) {
	for _, http2 := range []bool{true, false} {
		s := &apiserver{Server: httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for i := range 128 {
				w.Header().Add("X-Long", strings.Repeat(string(rune('a'+i%26)), 4096))
			}
			object(w, r)
		}))}
		s.EnableHTTP2 = http2
		s.StartTLS()
		defer s.Close()
		c := s.client(t)
		if _, _, failed := c.try(within(t, 10*time.Second), c.base.JoinPath(podPath), "application/json"); failed == nil {
			t.Errorf("HTTP/2 %v: a header of half a MiB was read", http2)
		}
	}
}
