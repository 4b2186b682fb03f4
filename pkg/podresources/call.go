package podresources

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 16 << 20

// maxText bounds what is quoted of an answer, in bytes.
const maxText = 256

// The status codes of gRPC that mean something to kactus.
const (
	codeUnknown           = 2
	codeResourceExhausted = 8
	codeUnimplemented     = 12
)

// A statusError is an answer of gRPC other than OK.
type statusError struct {
	method  string
	code    int
	message string
}

// Error returns method, message and code.
func (e *statusError) Error() string {
	return fmt.Sprintf("%s: %.*q (gRPC status %d)", e.method, maxText, e.message, e.code)
}

// A connection makes calls of gRPC through a unix socket. It is opened by the first call.
type connection struct{ transport *http.Transport }

func dial(socket string) *connection {
	c := &connection{transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
		Protocols:          &http.Protocols{},
		DisableCompression: true,
	}}
	c.transport.Protocols.SetUnencryptedHTTP2(true)
	return c
}

func (c *connection) close() { c.transport.CloseIdleConnections() }

// headerLength is the length of what precedes a message: whether it is compressed, and its length.
const headerLength = 5

// call makes one unary call: a message there, and a message back.
func (c *connection) call(ctx context.Context, method string, message []byte) ([]byte, error) {
	resp, err := c.transport.RoundTrip(newRequest(ctx, method, message))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, causeOf(ctx, err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, headerLength+maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("%s: answer interrupted: %w", method, causeOf(ctx, err))
	}
	if len(body) > headerLength+maxAnswer {
		return nil, fmt.Errorf("%s: answer too large: more than %d bytes", method, maxAnswer)
	}
	if err := status(method, resp); err != nil {
		return nil, err
	}
	answer, err := unframe(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	return answer, nil
}

func newRequest(ctx context.Context, method string, message []byte) *http.Request {
	body := make([]byte, headerLength, headerLength+len(message))
	binary.BigEndian.PutUint32(body[1:], uint32(len(message)))
	body = append(body, message...)
	r := &http.Request{
		Method: http.MethodPost,
		URL:    &url.URL{Scheme: "http", Host: "localhost", Path: "/v1.PodResourcesLister/" + method},
		Header: http.Header{
			"Content-Type": {"application/grpc"},
			"Te":           {"trailers"},
			"User-Agent":   {"kactus"},
		},
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
	}
	return r.WithContext(ctx)
}

// causeOf returns why ctx ended, where that is what err says.
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return context.Cause(ctx)
	}
	return err
}

// status returns a *statusError for an answer that is not OK. An answer without a message has its
// status in the header, any other in the trailer, which follows the body.
func status(method string, resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: the server at that socket speaks no gRPC: HTTP status %d", method, resp.StatusCode)
	}
	fields := resp.Trailer
	if fields.Get("Grpc-Status") == "" {
		fields = resp.Header
	}
	code, err := strconv.Atoi(fields.Get("Grpc-Status"))
	if err != nil {
		return fmt.Errorf("%s: the answer has the gRPC status %.*q", method, maxText, fields.Get("Grpc-Status"))
	}
	if code == 0 {
		return nil
	}
	message := fields.Get("Grpc-Message")
	if plain, err := url.PathUnescape(message); err == nil {
		message = plain
	}
	return &statusError{method: method, code: code, message: message}
}

// unframe returns the only message of a body.
func unframe(body []byte) ([]byte, error) {
	switch {
	case len(body) < headerLength:
		return nil, fmt.Errorf("answer of %d bytes, a message has at least %d", len(body), headerLength)
	case body[0] != 0:
		return nil, errors.New("the answer is compressed, which was not offered")
	case uint64(len(body)-headerLength) != uint64(binary.BigEndian.Uint32(body[1:])):
		return nil, fmt.Errorf("message of %d bytes, its header says %d",
			len(body)-headerLength, binary.BigEndian.Uint32(body[1:]))
	}
	return body[headerLength:], nil
}
