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

// An Error says why an object could not be read, or why no Client could be made.
type Error struct {
	// Doing says what failed, such as "GET /api/v1/namespaces/default/pods/app".
	Doing string
	// Path is the URL's path; empty where no request was made.
	Path string
	// Status is the HTTP status; zero where there was no response.
	Status int
	// Tries counts the requests that were made.
	Tries int
	// Cause is the underlying error.
	Cause error
	// Proxy is the host and port of the proxy in the way; empty where there is none, or where the
	// apiserver itself is known to have answered.
	Proxy string

	retry bool
	// byProxy says that the response may be the proxy's own.
	byProxy bool
	// broken says that the connection may be dead.
	broken bool
}

// Error returns what was being done, the HTTP status, the cause, and the proxy.
func (e *Error) Error() string {
	s := e.Doing + ": "
	if e.Status != 0 && e.Status != http.StatusOK {
		s += fmt.Sprintf("%d %s: ", e.Status, http.StatusText(e.Status))
	}
	s += e.Cause.Error()
	if e.Proxy != "" {
		s += " (through the proxy " + e.Proxy + ")"
	}
	if e.Tries > 1 {
		s += fmt.Sprintf(" (tried %d times)", e.Tries)
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Missing reports whether the apiserver has no such object. A proxy cannot know.
func (e *Error) Missing() bool { return e.Status == http.StatusNotFound && !e.byProxy }

// Temporary reports whether the same request may succeed later: the apiserver was unreachable or
// overloaded, or the object does not exist yet.
func (e *Error) Temporary() bool { return e.retry || e.Missing() }

// refused reports whether the apiserver, or a proxy, denied the request.
func (e *Error) refused() bool {
	return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
}

// retryable reports whether a request that got no response should be sent again. TLS errors should
// not, because a wrong certificate stays wrong, and neither should what a proxy does not allow, nor
// what a plugin for credentials has failed at.
func retryable(err error) bool {
	if refused := (*refusal)(nil); errors.As(err, &refused) {
		return overloaded(refused.status)
	}
	if plugin := (*pluginError)(nil); errors.As(err, &plugin) {
		return plugin.late
	}
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
	return !isAlert(err) && !errors.Is(err, http.ErrSchemeMismatch) && !errors.Is(err, errUnsendable)
}

// isAlert reports whether one side closed the connection with a TLS alert, such as "certificate
// required". crypto/tls has no exported type for that.
func isAlert(err error) bool {
	var opErr *net.OpError
	return errors.As(err, &opErr) && (opErr.Op == "remote error" || opErr.Op == "local error")
}

// withoutPath returns the cause of a file error, for a message that names the file already.
func withoutPath(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
