// Package verdict defines the messages by which a guest reports its results to the test on the
// host, over a serial line.
package verdict

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// A Verdict is the result of checking one behavior.
type Verdict struct {
	Behavior string        `json:"behavior"`
	Failure  string        `json:"failure,omitempty"` // empty means success
	Took     time.Duration `json:"took"`              // by the guest's clock
}

// A message is one line: a verdict, or the end of the verdicts.
type message struct {
	*Verdict
	Done bool `json:"done,omitempty"`
}

// Write writes a verdict.
func Write(to io.Writer, v Verdict) error {
	return json.NewEncoder(to).Encode(message{Verdict: &v})
}

// Done writes the end of the verdicts.
func Done(to io.Writer) error {
	return json.NewEncoder(to).Encode(message{Done: true})
}

// ErrTruncated is returned when a stream ends before the guest has called Done.
var ErrTruncated = errors.New("the guest ended before Done")

// Read calls handle with every verdict of a stream as it arrives, and returns when the stream ends.
func Read(from io.Reader, handle func(Verdict)) error {
	messages := json.NewDecoder(from)
	done := false
	for {
		var m message
		err := messages.Decode(&m)
		switch {
		case errors.Is(err, io.EOF) && done:
			return nil
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return ErrTruncated
		case err != nil:
			return fmt.Errorf("reading the guest's verdicts: %w", err)
		case m.Verdict != nil:
			handle(*m.Verdict)
		}
		done = done || m.Done
	}
}
