package kube

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestPod_RequestsMetadataOnly(t *testing.T) {
	var got *http.Request
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(r.Context())
		object(w, r)
	})
	pod, err := s.client(t).Pod(within(t, 10*time.Second), "tenant", "app")
	if err != nil {
		t.Fatal(err)
	}
	if pod.UID != "some-uid" || pod.Annotations["networks"] != "[]" {
		t.Errorf("got %+v", pod)
	}
	for what, pair := range map[string][2]string{
		"method":        {got.Method, "GET"},
		"path":          {got.RequestURI, podPath},
		"Accept":        {got.Header.Get("Accept"), "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"},
		"Authorization": {got.Header.Get("Authorization"), "Bearer " + token},
		"User-Agent":    {got.Header.Get("User-Agent"), "kactus/test"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %q, want %q", what, pair[0], pair[1])
		}
	}
}

func TestNetwork_Reads(t *testing.T) {
	s := serve(t, object)
	n, err := s.client(t).Network(within(t, 10*time.Second), "tenant", "green")
	if err != nil || n.Name != "green" || n.Namespace != "tenant" || n.Plugin != "bridge" || n.Config != "{}" {
		t.Errorf("got %+v, %v", n, err)
	}
	if s.requests.Load() != 1 {
		t.Errorf("got %d requests, want 1", s.requests.Load())
	}
}

func TestPod_KeepsTheServersPath(t *testing.T) {
	var path string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		path = r.URL.Path
		_, _ = w.Write([]byte(podJSON))
	})
	c := newClient(t, s.kubeconfig(t, s.URL+"/k8s/clusters/one"))
	if _, err := c.Pod(within(t, 10*time.Second), "tenant", "app"); err != nil || path != "/k8s/clusters/one"+podPath {
		t.Errorf("got a request for %s: %v", path, err)
	}
}

func TestNetwork_ConcurrentReadsShareOneConnection(t *testing.T) {
	const networks = 8
	barrier := newBarrier(networks)
	s := serve(t, object, func(w http.ResponseWriter, r *http.Request) {
		barrier.wait() // respond only after all requests have arrived
		object(w, r)
	})
	c := s.client(t)
	ctx := within(t, 10*time.Second)
	if _, err := c.Pod(ctx, "tenant", "app"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	for range networks {
		go func() {
			_, err := c.Network(ctx, "tenant", "green")
			done <- err
		}()
	}
	for range networks {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if s.connections.Load() != 1 || s.requests.Load() != 1+networks {
		t.Errorf("%d connections for %d requests", s.connections.Load(), s.requests.Load())
	}
}

func TestPod_EscapesNames(t *testing.T) {
	var uri string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		uri = r.RequestURI
		http.NotFound(w, r)
	})
	c := s.client(t)
	for name, want := range map[string]string{
		"a/b":       "/api/v1/namespaces/tenant/pods/a%2Fb",
		"a%2fb":     "/api/v1/namespaces/tenant/pods/a%252fb",
		"a?b=c#d":   "/api/v1/namespaces/tenant/pods/a%3Fb=c%23d",
		"../../x":   "/api/v1/namespaces/tenant/pods/..%2F..%2Fx",
		"a b\r\nX:": "/api/v1/namespaces/tenant/pods/a%20b%0D%0AX:",
	} {
		if _, err := c.Pod(within(t, 10*time.Second), "tenant", name); err == nil || uri != want {
			t.Errorf("%q: got a request for %s, %v", name, uri, err)
		}
	}
}

func TestClient_RejectsOtherObjects(t *testing.T) {
	for name, body := range map[string]string{
		"HTML":          "<html><body>Sign in</body></html>",
		"an empty body": "",
		"null":          "null",
		"a whole Pod":   strings.Replace(podJSON, "PartialObjectMetadata", "Pod", 1),
		"another Pod":   strings.Replace(podJSON, `"app"`, `"other"`, 1),
		"a list":        `{"kind":"PodList","items":[]}`,
		"a wrong type":  `{"kind":"PartialObjectMetadata","metadata":{"name":["app"]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, respond(http.StatusOK, body))
			pod, err := s.client(t).Pod(within(t, 10*time.Second), "tenant", "app")
			failed := failure(t, err)
			if failed.Temporary() || failed.Path != podPath || !strings.Contains(err.Error(), podPath) {
				t.Errorf("got %v, %v", pod, err)
			}
			n, err := s.client(t).Network(within(t, 10*time.Second), "tenant", "green")
			if err == nil || !strings.Contains(err.Error(), networkPath) {
				t.Errorf("got %+v, %v", n, err)
			}
			if s.requests.Load() != 2 {
				t.Errorf("got %d requests, want 2", s.requests.Load())
			}
		})
	}
}

func TestPod_StopsReadingAnEndlessResponse(t *testing.T) {
	gone := make(chan int, 1)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		written, chunk := 0, make([]byte, 64<<10)
		for r.Context().Err() == nil {
			n, err := w.Write(chunk)
			if written += n; err != nil {
				break
			}
		}
		gone <- written
	})
	_, err := s.client(t).Pod(within(t, 10*time.Second), "tenant", "app")
	const want = "responses too large: more than 2621440 bytes"
	if failed := failure(t, err); failed.Temporary() || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v", err)
	}
	if written := <-gone; written > 4*maxResponses {
		t.Errorf("read %d bytes of the response", written)
	}
}

// Each of the Networks is small enough.
func TestNetwork_ResponsesShareOneBudget(t *testing.T) {
	long := strings.Repeat("x", maxResponses/3)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"metadata": {"name": "green", "annotations": {"long": %q}}, "spec": {}}`, long)
	})
	c := s.client(t)
	for range 2 {
		if _, err := c.Network(within(t, 10*time.Second), "tenant", "green"); err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.Network(within(t, 10*time.Second), "tenant", "green")
	const want = "responses too large: more than 2621440 bytes in total"
	if failed := failure(t, err); failed.Temporary() || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v", err)
	}
}

func TestPod_NotFoundIsMissingAndTemporary(t *testing.T) {
	s := serve(t, respond(http.StatusNotFound, `{"kind":"Status","message":"pods \"app\" not found","code":404}`))
	_, err := s.client(t).Pod(within(t, 10*time.Second), "tenant", "app")
	failed := failure(t, err)
	if !failed.Missing() || !failed.Temporary() || s.requests.Load() != 1 {
		t.Errorf("missing %v, temporary %v, %d requests", failed.Missing(), failed.Temporary(), s.requests.Load())
	}
	if want := `GET ` + podPath + `: 404 Not Found: pods "app" not found`; err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}
