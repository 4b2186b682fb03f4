package kube

import (
	"encoding/base64"
	"strings"
)

// secret holds credentials. Some proxies and apiservers repeat what they were sent, so it is
// redacted from whatever of a response gets into an error.
type secret string

// credentials returns what the Authorization header carries after its scheme.
func (c clientConfig) credentials() secret {
	if c.username != "" {
		return secret(base64.StdEncoding.EncodeToString([]byte(c.username + ":" + c.password)))
	}
	return secret(c.token)
}

// redact returns text without the secret.
func (s secret) redact(text string) string {
	if s == "" {
		return text
	}
	return strings.ReplaceAll(text, string(s), "(redacted)")
}

// redactError returns err, or an error that wraps it where its text has the secret.
func (s secret) redactError(err error) error {
	if text := err.Error(); s.redact(text) != text {
		return &redactedError{error: err, text: s.redact(text)}
	}
	return err
}

type redactedError struct {
	error
	text string
}

// Error returns the text without the secret.
func (r *redactedError) Error() string { return r.text }

// Unwrap returns the original error.
func (r *redactedError) Unwrap() error { return r.error }
