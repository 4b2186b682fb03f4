package kube

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/budget"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// fixedResponse is a transport that responds to every request in the same way.
type fixedResponse struct {
	status     int
	retryAfter string
	body       []byte
}

func (a fixedResponse) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: a.status,
		Header:     http.Header{"Retry-After": {a.retryAfter}},
		Body:       io.NopCloser(bytes.NewReader(a.body)),
		Request:    req,
	}, nil
}

// FuzzAnswer checks that any response to a GET of a Pod, a Network or a NetworkAttachmentDefinition
// is that object or an error of bounded size.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		podJSON, networkJSON, `null`, `{}`, `[]`, `<html>`, `{"kind":"Status","message":"no"}`,
		`{"kind":"PartialObjectMetadata","metadata":{"name":"app","annotations":{"networks":null}}}`,
	} {
		for _, status := range []int{200, 302, 404, 429, 503} {
			f.Add(status, "7", []byte(body))
		}
	}
	f.Add(429, "Wed, 21 Oct 2015 07:28:00 GMT", []byte(nil))
	f.Fuzz(func(t *testing.T, status int, retryAfter string, body []byte) {
		c := &Client{
			http:           &http.Client{Transport: fixedResponse{status, retryAfter, body}},
			base:           &url.URL{Scheme: "https", Host: "apiserver", Path: "/"},
			attemptTimeout: time.Minute, firstPause: time.Second, budget: budget.New(maxResponses),
		}
		ctx, cancel := context.WithTimeout(t.Context(), c.firstPause/2) // too short for a second try
		defer cancel()
		pod, err := c.Pod(ctx, "tenant", "app")
		expectBounded(t, err)
		if err == nil && pod.Name != "app" {
			t.Errorf("the Pod is %q", pod.Name)
		}
		for _, get := range []func(context.Context, string, string) (network.Network, error){
			c.Network, c.NetworkAttachmentDefinition,
		} {
			n, err := get(ctx, "tenant", "green")
			expectBounded(t, err)
			if err == nil && n.Name != "green" {
				t.Errorf("the Network is %q", n.Name)
			}
		}
		if wait := parseRetryAfter(retryAfter); wait < 0 {
			t.Errorf("Retry-After %q: got %v", retryAfter, wait)
		}
	})
}

func parseRetryAfter(value string) time.Duration {
	return retryAfter(http.Header{"Retry-After": {value}})
}

func expectBounded(t *testing.T, err error) {
	t.Helper()
	var failed *Error
	if err != nil && (!errors.As(err, &failed) || len(err.Error()) > 2*maxErrorBody) {
		t.Errorf("got a %T of %d bytes", err, len(err.Error()))
	}
}

// FuzzKubeconfig checks that any file is a client configuration or an error that does not quote the
// token.
func FuzzKubeconfig(f *testing.F) {
	const text = `apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: "https://10.0.0.1:6443", certificate-authority-data: AAAA}}]
users: [{name: u, user: {token: ` + token + `}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
`
	for _, seed := range []string{
		text, text[:120], "", "{", "null", "users: [{user: " + token + "}]",
		strings.Replace(text, "token: ", "exec: {command: ", 1), "a: &a [*a]", "\t",
	} {
		f.Add([]byte(seed))
	}
	path := filepath.Join(f.TempDir(), "kubeconfig")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := load(path)
		expectBounded(t, err)
		if err != nil && strings.Contains(err.Error(), token) {
			t.Errorf("the error quotes the token: %v", err)
		}
	})
}
