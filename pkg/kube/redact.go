package kube

import (
	"encoding/base64"
	"slices"
	"strings"
)

// secrets hold credentials. Some proxies and apiservers repeat what they were sent, so they are
// redacted from whatever of a response gets into an error.
type secrets []string

// newSecrets returns those of the values that are not empty.
func newSecrets(values ...string) secrets {
	return slices.DeleteFunc(values, func(value string) bool { return value == "" })
}

// credentials returns what the Authorization header carries after its scheme.
func (c clientConfig) credentials() string {
	if c.username != "" {
		return base64.StdEncoding.EncodeToString([]byte(c.username + ":" + c.password))
	}
	return c.token
}

// redact returns text without the secrets.
func (s secrets) redact(text string) string {
	for _, secret := range s {
		text = strings.ReplaceAll(text, secret, "(redacted)")
	}
	return text
}

// redactError returns err, or an error that wraps it where its text has a secret.
func (s secrets) redactError(err error) error {
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
