package kube

import (
	"net/http"
	"strings"
	"sync/atomic"
)

// secret is what no error may quote, be it that a kubeconfig is wrong there or that an apiserver repeats what it was sent.
type secret string

// hide is text without the secret.
func (s secret) hide(text string) string {
	if s == "" {
		return text
	}
	return strings.ReplaceAll(text, string(s), "(hidden)")
}

// without is err with a text that does not have the secret.
func (s secret) without(err error) error {
	if text := err.Error(); s.hide(text) != text {
		return &hiding{error: err, text: s.hide(text)}
	}
	return err
}

type hiding struct {
	error
	text string
}

func (h *hiding) Error() string { return h.text }

func (h *hiding) Unwrap() error { return h.error }

// withoutUsers is err without the users and passwords that these URLs may have: what is wrong with a URL is told by quoting it.
func withoutUsers(err error, urls ...string) error {
	for _, address := range urls {
		if _, rest, ok := strings.Cut(address, "://"); ok {
			address = rest
		}
		if end := strings.LastIndex(address, "@"); end > 0 {
			err = secret(address[:end]).without(err)
		}
	}
	return err
}

// credentials is a transport that knows what it sent as such.
type credentials struct {
	http.RoundTripper
	header atomic.Pointer[string]
}

// RoundTrip implements http.RoundTripper.
func (c *credentials) RoundTrip(req *http.Request) (*http.Response, error) {
	if header := req.Header.Get("Authorization"); header != "" {
		c.header.Store(&header)
	}
	return c.RoundTripper.RoundTrip(req)
}

// WrappedRoundTripper lets client-go find the transport inside.
func (c *credentials) WrappedRoundTripper() http.RoundTripper { return c.RoundTripper }

// secret is what was sent last, such as a bearer token.
func (c *credentials) secret() secret {
	header := c.header.Load()
	if header == nil {
		return ""
	}
	_, sent, _ := strings.Cut(*header, " ")
	return secret(strings.TrimSpace(sent))
}
