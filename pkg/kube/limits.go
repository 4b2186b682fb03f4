package kube

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/budget"
)

// All in bytes.
const (
	// maxResponses bounds all responses to one Client together. One Network's configuration has at
	// most 1 MiB, before its quotes are escaped.
	maxResponses = 5 << 19
	// maxErrorBody bounds what is read of a response that is an error.
	maxErrorBody = 64 << 10
	// maxAnswer bounds what is read of the response to a request that changes something. An object
	// has at most 1.5 MiB.
	maxAnswer = 2 << 20
	// maxHeader bounds the header of a response.
	maxHeader = 64 << 10
	// maxBuffered bounds what the apiserver may send of one response before it is read. All
	// responses together may have four times as much.
	maxBuffered = 256 << 10
)

var errTooLarge = errors.New("responses too large")

// readBody reads a response's body. It draws on the budget for what it returns, unless that is the
// body of an error, which is not kept.
func (c *Client) readBody(resp *http.Response) ([]byte, error) {
	if resp.StatusCode != http.StatusOK {
		return io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	}
	r := &budgetReader{r: resp.Body, budget: c.budget}
	body, err := io.ReadAll(r)
	if err != nil {
		c.budget.Return(r.taken)
	}
	return body, err
}

// A budgetReader takes what it reads from a budget, and fails when that is used up.
type budgetReader struct {
	r      io.Reader
	budget *budget.Budget
	taken  int
}

// Read implements io.Reader.
func (b *budgetReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	granted := b.budget.Take(n)
	b.taken += granted
	if granted < n {
		return granted, fmt.Errorf("%w: more than %d bytes in total", errTooLarge, maxResponses)
	}
	return n, err
}
