package kube

import (
	"slices"
	"strings"
	"sync"
)

// secrets hold credentials. Some proxies and apiservers repeat what they were sent, so they are
// redacted from whatever of a response gets into an error. They are safe for concurrent use; nil is
// none.
type secrets struct {
	mu     sync.Mutex
	values []string
}

// maxSecrets bounds the secrets of a process that lives long, and whose token is renewed.
const maxSecrets = 16

// add adds a value, unless it is empty. Beyond maxSecrets, it replaces the oldest one.
func (s *secrets) add(value string) {
	if s == nil || value == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.values, value) {
		return
	}
	if len(s.values) == maxSecrets {
		s.values = slices.Delete(s.values, 0, 1)
	}
	s.values = append(s.values, value)
}

// redact returns text without the secrets.
func (s *secrets) redact(text string) string {
	if s == nil {
		return text
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range s.values {
		text = strings.ReplaceAll(text, secret, "(redacted)")
	}
	return text
}

// redactError returns err, or an error that wraps it where its text has a secret.
func (s *secrets) redactError(err error) error {
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
