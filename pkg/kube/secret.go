package kube

import (
	"encoding/base64"
	"strings"
)

// secret is what no error may quote: some apiservers, and proxies before them, repeat what they were sent.
type secret string

// secret is what is sent as credentials.
func (a account) secret() secret {
	if a.username != "" {
		return secret(base64.StdEncoding.EncodeToString([]byte(a.username + ":" + a.password)))
	}
	return secret(a.token)
}

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
