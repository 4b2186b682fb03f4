package kube

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// sent is what one request sends. Content is JSON where it is not said otherwise.
type sent struct {
	method              string
	target              *url.URL
	accept, contentType string
	body                []byte
}

// send sends one request, without retries, and returns the body of the response, of at most 2 MiB.
// The error is an *Error.
func (c *Client) send(ctx context.Context, s sent) ([]byte, error) {
	failed := &Error{Doing: s.method + " " + s.target.Path, Path: s.target.Path, Tries: 1}
	timedOut := fmt.Errorf("no response within %s", c.attemptTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, c.attemptTimeout, timedOut)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, s.method, s.target.String(), bytes.NewReader(s.body))
	if err != nil {
		failed.Cause = err
		return nil, failed
	}
	req.Header.Set("Accept", cmp.Or(s.accept, "application/json"))
	req.Header.Set("Content-Type", cmp.Or(s.contentType, "application/json"))
	resp, err := c.http.Do(req)
	if err != nil {
		failed.Cause = c.secrets.redactError(unwrapURL(err))
		if failed.Cause == ctx.Err() { // and not an error that says more, such as ECONNREFUSED
			failed.Cause = context.Cause(ctx)
		}
		c.blameProxy(failed)
		return nil, failed
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	failed.Status = resp.StatusCode
	switch {
	case resp.StatusCode/100 != 2:
		failed.Cause = statusCause(answer, c.secrets)
	case err != nil:
		failed.Cause = fmt.Errorf("response interrupted: %w", err)
	default:
		return answer, nil
	}
	c.blameProxy(failed)
	return nil, failed
}
