package kube

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
)

const (
	// maxAnswers is how long all answers to one client may be together, in bytes: a Network's configuration has at most 1 MiB before its quotes are
	// escaped, and a process that runs for each Pod of a node must stay small, however many Networks the Pod names.
	maxAnswers = 5 << 19
	// maxRefusal is how much is read of an answer that is an error, in bytes.
	maxRefusal = 64 << 10
	// maxHeader is how long the header of an answer may be, in bytes.
	maxHeader = 64 << 10
	// maxUnread is how much of one answer, and four times of it of all, the apiserver may send before it is read, in bytes.
	maxUnread = 256 << 10
)

var errTooLong = errors.New("the answers are too long")

// room is how many bytes may still be read.
type room struct{ left atomic.Int64 }

func newRoom(size int64) *room {
	r := &room{}
	r.left.Store(size)
	return r
}

// read reads an answer. What of it is no use to anybody does not count.
func (r *room) read(resp *http.Response) ([]byte, error) {
	if resp.StatusCode != http.StatusOK {
		return io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	}
	m := &metered{body: resp.Body, room: r}
	body, err := io.ReadAll(m)
	if err != nil {
		r.left.Add(m.taken)
	}
	return body, err
}

// metered is a body that takes the room that it needs.
type metered struct {
	body  io.Reader
	room  *room
	taken int64
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.body.Read(p)
	m.taken += int64(n)
	if m.room.left.Add(-int64(n)) < 0 {
		return n, fmt.Errorf("%w: more than %d bytes together", errTooLong, maxAnswers)
	}
	return n, err
}
