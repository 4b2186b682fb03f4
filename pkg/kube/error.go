package kube

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
)

// Error is why the apiserver did not tell.
type Error struct {
	// Doing is what was being done.
	Doing string
	// Path is the URL's path; empty where no request was made.
	Path string
	// Status is the HTTP status; zero where there was no answer.
	Status int
	// Tries is how many requests were made.
	Tries int
	// Cause is why it did not work.
	Cause error

	retry bool
	// broken says that the connection may be dead.
	broken bool
}

// Error is one sentence: what was being done, the status, and the cause.
func (e *Error) Error() string {
	s := e.Doing + ": "
	if e.Status != 0 && e.Status != http.StatusOK {
		s += fmt.Sprintf("%d %s: ", e.Status, http.StatusText(e.Status))
	}
	s += e.Cause.Error()
	if e.Tries > 1 {
		s += fmt.Sprintf(" (tried %d times)", e.Tries)
	}
	return s
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Missing says whether the apiserver answered that there is no such object.
func (e *Error) Missing() bool { return e.Status == http.StatusNotFound }

// Temporary says whether the same question may be answered later: the apiserver was not to be reached or overloaded, or the object
// is not there yet.
func (e *Error) Temporary() bool { return e.retry || e.Missing() }

// refused says whether the apiserver does not let this user do that.
func (e *Error) refused() bool {
	return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
}

// retryable says whether a request that got no answer is worth another. All of that is, but for TLS: a wrong certificate stays wrong.
func retryable(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		record       tls.RecordHeaderError
		authority    x509.UnknownAuthorityError
		hostname     x509.HostnameError
		invalid      x509.CertificateInvalidError
	)
	for _, target := range []any{&verification, &record, &authority, &hostname, &invalid} {
		if errors.As(err, target) {
			return false
		}
	}
	return !isAlert(err) && !errors.Is(err, http.ErrSchemeMismatch)
}

// isAlert says whether one side ended the connection by a TLS alert, such as "certificate required": crypto/tls has no other type for that.
func isAlert(err error) bool {
	var opErr *net.OpError
	return errors.As(err, &opErr) && (opErr.Op == "remote error" || opErr.Op == "local error")
}

// withoutPath is why a file did not read, for a sentence that names it.
func withoutPath(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
