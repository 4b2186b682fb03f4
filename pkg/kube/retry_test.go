package kube

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestPod_RetriesTemporaryFailures(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"429":                        respond(http.StatusTooManyRequests, ""),
		"500":                        respond(http.StatusInternalServerError, `{"kind":"Status","message":"etcd"}`),
		"502 with HTML from a proxy": respond(http.StatusBadGateway, "<html>"),
		"503":                        respond(http.StatusServiceUnavailable, ""),
		"504":                        respond(http.StatusGatewayTimeout, ""),
		"a closed connection":        abort,
		"a truncated response":       abortInTheBody,
		"no response":                hang,
		"an invalid Retry-After": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "soon")
			w.WriteHeader(503)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, handler, handler, object)
			c := s.client(t)
			c.attemptTimeout = 200 * time.Millisecond
			pod, err := c.Pod(within(t, 20*time.Second), "tenant", "app")
			if err != nil || pod.Name != "app" || s.requests.Load() != 3 {
				t.Errorf("got %v, %v after %d requests", pod, err, s.requests.Load())
			}
		})
	}
}

func TestPod_WaitsForTheAPIServer(t *testing.T) {
	s := serve(t, object)
	addr := s.Listener.Addr().String()
	c := s.client(t)
	s.Listener.Close()
	defer time.AfterFunc(150*time.Millisecond, func() {
		listener, err := s.listenTLS(addr)
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { _ = listener.Close() })
		_ = s.Config.Serve(listener)
	}).Stop()
	if _, err := c.Pod(within(t, 20*time.Second), "tenant", "app"); err != nil {
		t.Error(err)
	}
}

func TestPod_DoesNotRetryClientErrors(t *testing.T) {
	for status, message := range map[int]string{
		400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
		404: "Not Found", 406: "Not Acceptable", 410: "Gone",
	} {
		s := serve(t, respond(status, `{"kind":"Status","message":"because"}`))
		_, err := s.client(t).Pod(within(t, 10*time.Second), "tenant", "app")
		failed := failure(t, err)
		if failed.Status != status || failed.Temporary() != (status == 404) ||
			failed.Tries != 1 || s.requests.Load() != 1 {
			t.Errorf("%d: %+v after %d requests", status, failed, s.requests.Load())
		}
		if !strings.Contains(err.Error(), podPath) || !strings.HasSuffix(err.Error(), message+": because") {
			t.Errorf("%d: %v", status, err)
		}
	}
}

func TestPod_RetriesUntilTheContextEnds(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{"overloaded": respond(503, "no"), "no response": hang} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, handler)
			c := s.client(t)
			c.attemptTimeout = 50 * time.Millisecond
			begin := time.Now()
			_, err := c.Pod(within(t, time.Second), "tenant", "app")
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("returned after %v", took)
			}
			failed := failure(t, err)
			if !failed.Temporary() || failed.Tries < 2 || failed.Tries < int(s.requests.Load()) ||
				!strings.Contains(err.Error(), " (tried ") {
				t.Errorf("%v, after %d requests", err, s.requests.Load())
			}
		})
	}
}

func TestPod_TimeoutErrors(t *testing.T) {
	c := serve(t, hang).client(t)
	c.attemptTimeout = 50 * time.Millisecond
	_, err := c.Pod(within(t, 400*time.Millisecond), "tenant", "app")
	if failure(t, err); !strings.Contains(err.Error(), podPath+": no response within 50ms") {
		t.Errorf("got %v", err)
	}
	c.attemptTimeout = time.Minute
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("the operation's deadline"))
	defer cancel()
	_, err = c.Pod(ctx, "tenant", "app")
	if failed := failure(t, err); !failed.Temporary() ||
		!strings.HasSuffix(err.Error(), podPath+": the operation's deadline") {
		t.Errorf("got %v", err)
	}
}

func TestPod_ReturnsWhenCanceled(t *testing.T) {
	s := serve(t, hang)
	c := s.client(t)
	ctx, cancel := context.WithCancel(within(t, 20*time.Second))
	go func() {
		for s.requests.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	_, err := c.Pod(ctx, "tenant", "app")
	if !errors.Is(err, context.Canceled) || s.requests.Load() != 1 {
		t.Errorf("got %v after %d requests", err, s.requests.Load())
	}
}

func TestPod_ReplacesADeadConnection(t *testing.T) {
	var once sync.Once
	dead := ""
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		once.Do(func() { dead = r.RemoteAddr })
		if r.RemoteAddr == dead {
			hang(w, r)
			return
		}
		object(w, r)
	})
	c := s.client(t)
	c.attemptTimeout, c.firstPause = 100*time.Millisecond, 10*time.Millisecond
	if _, err := c.Pod(within(t, 10*time.Second), "tenant", "app"); err != nil {
		t.Error(err)
	}
}

func TestPod_ReportsConnectionRefused(t *testing.T) {
	s := serve(t, object)
	c := s.client(t)
	s.Listener.Close()
	_, err := c.Pod(within(t, 50*time.Millisecond), "tenant", "app")
	failed := failure(t, err)
	if !failed.Temporary() || failed.Status != 0 || !errors.Is(err, syscall.ECONNREFUSED) ||
		!strings.HasPrefix(err.Error(), "GET "+podPath+": dial tcp ") {
		t.Errorf("got %v", err)
	}
}

func TestPod_WaitsForRetryAfter(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	}, object)
	begin := time.Now()
	_, err := s.client(t).Pod(within(t, 20*time.Second), "tenant", "app")
	if took := time.Since(begin); err != nil || took < time.Second {
		t.Errorf("got %v after %v", err, took)
	}
}

func TestPod_DoesNotWaitPastTheDeadline(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	begin := time.Now()
	_, err := s.client(t).Pod(within(t, 20*time.Second), "tenant", "app")
	if took := time.Since(begin); took > 10*time.Second || !failure(t, err).Temporary() || s.requests.Load() != 1 {
		t.Errorf("got %v after %v and %d requests", err, took, s.requests.Load())
	}
}

func TestRetryAfter_SecondsOrDate(t *testing.T) {
	in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	for value, want := range map[string][2]time.Duration{
		"":               {0, 0},
		"2":              {2 * time.Second, 2 * time.Second},
		"0":              {0, 0},
		"-5":             {0, 0},
		"1.5":            {0, 0},
		"999999999999":   {time.Hour, time.Hour},
		in(time.Minute):  {58 * time.Second, time.Minute},
		in(-time.Minute): {0, 0},
	} {
		got := retryAfter(http.Header{"Retry-After": {value}})
		if got < want[0] || got > want[1] {
			t.Errorf("%q: got %v, want %v", value, got, want)
		}
	}
}

func TestBackoff_GrowsWithJitter(t *testing.T) {
	c := &Client{firstPause: 50 * time.Millisecond}
	for try, longest := range map[int]time.Duration{
		1: 50 * time.Millisecond, 2: 100 * time.Millisecond, 5: 800 * time.Millisecond,
		7: 2 * time.Second, 1000: 2 * time.Second,
	} {
		seen := map[time.Duration]bool{}
		for range 50 {
			pause := c.backoff(try)
			if pause < longest/2 || pause > longest {
				t.Errorf("try %d: got a pause of %v, want %v to %v", try, pause, longest/2, longest)
			}
			seen[pause] = true
		}
		if len(seen) < 2 {
			t.Errorf("try %d: got no jitter, always %v", try, seen)
		}
	}
}

func TestPod_RetriesRefusalsDuringStartup(t *testing.T) {
	s := serve(t, respond(503, ""), respond(401, ""), respond(403, ""), object)
	if _, err := s.client(t).Pod(within(t, 20*time.Second), "tenant", "app"); err != nil || s.requests.Load() != 4 {
		t.Errorf("got %v after %d requests", err, s.requests.Load())
	}
}

func TestPod_ReturnsLastingRefusals(t *testing.T) {
	t.Parallel()
	s := serve(t, respond(503, ""), respond(403, "no"))
	begin := time.Now()
	_, err := s.client(t).Pod(within(t, 30*time.Second), "tenant", "app")
	took := time.Since(begin)
	if failure(t, err).Temporary() || took < startupGrace/2 || took > startupGrace+5*time.Second {
		t.Errorf("got %v after %v", err, took)
	}
}
