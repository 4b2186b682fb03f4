package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// maxPause bounds the pause between two tries, unless the apiserver asks for a longer one.
const maxPause = 2 * time.Second

// startupGrace is how long 401 and 403 are retried after an earlier try failed. An apiserver that
// starts serves requests before it has loaded its authorization rules, and denies all of them.
const startupGrace = 5 * time.Second

// get reads one object. It retries while that can help and ctx lasts. The error is an *Error.
func (c *Client) get(ctx context.Context, target *url.URL, accept string) ([]byte, error) {
	var firstRefusal time.Time
	var previous *Error
	for try := 1; ; try++ {
		body, wait, failed := c.try(ctx, target, accept)
		if failed == nil {
			return body, nil
		}
		if ctx.Err() != nil && previous != nil { // a try that was cut short says less than a whole one
			failed = previous
		}
		previous = failed
		failed.Tries = try
		if failed.refused() && try > 1 {
			if firstRefusal.IsZero() {
				firstRefusal = time.Now()
			}
			failed.retry = time.Since(firstRefusal) < startupGrace
		}
		if !failed.retry {
			return nil, failed
		}
		if wait == 0 {
			wait = c.backoff(try)
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return nil, failed
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, failed
		}
		if failed.broken {
			c.disconnect() // only now is the connection of the failed request idle
		}
	}
}

// backoff returns the pause after a try. It doubles with each try, and half of it is random, so
// that the Pods of a node that was cut off do not all come back at once.
func (c *Client) backoff(try int) time.Duration {
	pause := min(c.firstPause<<min(try-1, 10), maxPause)
	return pause/2 + rand.N(pause/2+1)
}

// try sends one request. The duration is what the apiserver asks for with Retry-After; zero where
// it does not.
func (c *Client) try(ctx context.Context, target *url.URL, accept string) ([]byte, time.Duration, *Error) {
	failed := &Error{Doing: "GET " + target.Path, Path: target.Path}
	timedOut := fmt.Errorf("no response within %s", c.attemptTimeout)
	tryCtx, cancel := context.WithTimeoutCause(ctx, c.attemptTimeout, timedOut)
	defer cancel()
	req, err := http.NewRequestWithContext(tryCtx, http.MethodGet, target.String(), nil)
	if err != nil {
		failed.Cause = err
		return nil, 0, failed
	}
	req.Header.Set("Accept", accept)
	resp, err := c.http.Do(req)
	if err != nil {
		failed.Cause, failed.retry = c.secrets.redactError(unwrapURL(err)), retryable(err)
		failed.broken = true
		if failed.Cause == tryCtx.Err() { // and not an error that says more, such as ECONNREFUSED
			failed.Cause = context.Cause(tryCtx)
		}
		c.blameProxy(failed)
		return nil, 0, failed
	}
	defer resp.Body.Close()
	body, err := c.readBody(resp)
	failed.Status = resp.StatusCode
	switch {
	case resp.StatusCode != http.StatusOK:
		failed.Cause, failed.retry = statusCause(body, c.secrets), overloaded(resp.StatusCode)
	case errors.Is(err, errTooLarge):
		failed.Cause = err
	case err != nil:
		failed.Cause, failed.retry, failed.broken = fmt.Errorf("response interrupted: %w", err), true, true
	default:
		return body, 0, nil
	}
	c.blameProxy(failed)
	return nil, retryAfter(resp.Header), failed
}

// overloaded reports whether a response of that status may be another one soon.
func overloaded(status int) bool {
	return status == http.StatusTooManyRequests || status >= http.StatusInternalServerError
}

// A statusError has the message of a Status, the apiserver's own form of an error.
type statusError struct{ message string }

// Error returns the message.
func (s *statusError) Error() string { return s.message }

// statusCause returns the message of a Status, or the beginning of a body that is not one.
func statusCause(body []byte, secrets *secrets) error {
	var status struct{ Kind, Message string }
	if err := json.Unmarshal(body, &status); err == nil && status.Kind == "Status" && status.Message != "" {
		return &statusError{secrets.redact(status.Message)}
	}
	const quoted = 128
	text := secrets.redact(string(body))
	return fmt.Errorf("response begins with %q", text[:min(quoted, len(text))])
}

// retryAfter returns the pause that a Retry-After header asks for, which has a number of seconds or
// a date (RFC 9110, section 10.2.3); zero where there is none.
func retryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds > 0 {
		return time.Duration(min(seconds, 3600)) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(time.Until(date), 0)
	}
	return 0
}

// unwrapURL returns an error without the method and the URL, which Error.Doing names already.
func unwrapURL(err error) error {
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		return urlErr.Err
	}
	return err
}
