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

// longestPause is how long to wait at most between two tries, where the apiserver does not say.
const longestPause = 2 * time.Second

// comingUp is how long an apiserver that was just not to be had is not believed when it refuses: it answers a moment before it has read
// who may do what, and knows nobody until then.
const comingUp = 5 * time.Second

// get reads one object, and tries again while that can help and ctx lasts. The error is an *Error.
func (c *Client) get(ctx context.Context, path *url.URL, accept string) ([]byte, error) {
	var refused time.Time // since when
	var before *Error
	for try := 1; ; try++ {
		body, wait, failed := c.try(ctx, path, accept)
		if failed == nil {
			return body, nil
		}
		if ctx.Err() != nil && before != nil { // a try that was cut short says less than the one before
			failed = before
		}
		before = failed
		failed.Tries = try
		if failed.refused() && try > 1 {
			if refused.IsZero() {
				refused = time.Now()
			}
			failed.retry = time.Since(refused) < comingUp
		}
		if !failed.retry {
			return nil, failed
		}
		if wait == 0 {
			wait = c.backoff(try)
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return nil, failed // the next try would come too late
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, failed
		}
		if failed.broken {
			c.disconnect() // what is left of the request has left the connection by now
		}
	}
}

// backoff doubles from try to try, and is random between half of that and the whole: the Pods of a node that was cut
// off must not all come back at once.
func (c *Client) backoff(try int) time.Duration {
	pause := min(c.pause<<min(try-1, 10), longestPause)
	return pause/2 + rand.N(pause/2+1)
}

// try asks once. The time is how long the apiserver wants to be left alone; zero where it does not say.
func (c *Client) try(ctx context.Context, target *url.URL, accept string) ([]byte, time.Duration, *Error) {
	failed := &Error{Doing: "GET " + target.Path, Path: target.Path}
	tryCtx, cancel := context.WithTimeoutCause(ctx, c.perTry, fmt.Errorf("no answer within %s", c.perTry))
	defer cancel()
	req, err := http.NewRequestWithContext(tryCtx, http.MethodGet, target.String(), nil)
	if err != nil {
		failed.Cause = err
		return nil, 0, failed
	}
	req.Header = c.header.Clone()
	req.Header.Set("Accept", accept)
	resp, err := c.http.Do(req)
	if err != nil {
		failed.Cause, failed.retry = c.secret.without(unwrapURL(err)), retryable(err)
		failed.broken = true
		if failed.Cause == tryCtx.Err() { // and not what says more, such as that nobody took the connection
			failed.Cause = context.Cause(tryCtx)
		}
		return nil, 0, failed
	}
	defer resp.Body.Close()
	body, err := c.room.read(resp)
	failed.Status = resp.StatusCode
	switch {
	case resp.StatusCode != http.StatusOK:
		failed.Cause = statusCause(body, c.secret)
		failed.retry = resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= http.StatusInternalServerError
		return nil, retryAfter(resp.Header), failed
	case errors.Is(err, errTooLong):
		failed.Cause = err
		return nil, 0, failed
	case err != nil:
		failed.Cause, failed.retry, failed.broken = fmt.Errorf("the answer broke off: %w", err), true, true
		return nil, 0, failed
	}
	return body, 0, nil
}

// statusCause is why the apiserver refused, in its words, or the beginning of what it said where that is not a Status. Some proxies repeat what they
// were sent.
func statusCause(body []byte, sent secret) error {
	var status struct{ Kind, Message string }
	if err := json.Unmarshal(body, &status); err == nil && status.Kind == "Status" && status.Message != "" {
		return errors.New(sent.hide(status.Message))
	}
	const quoted = 128
	said := sent.hide(string(body))
	return fmt.Errorf("the answer begins with %q", said[:min(quoted, len(said))])
}

// retryAfter reads the header of that name, a number of seconds or a date (RFC 9110, section 10.2.3).
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

func unwrapURL(err error) error {
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		return urlErr.Err // the method and the URL are said already
	}
	return err
}
