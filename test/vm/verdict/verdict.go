// Package verdict is the language in which a guest tells the test outside, over a serial line, what it found.
package verdict

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Verdict says of one behaviour whether it was seen.
type Verdict struct {
	Behaviour string        `json:"behaviour"`
	Failure   string        `json:"failure,omitempty"` // empty: it was seen
	Took      time.Duration `json:"took"`              // in nanoseconds, by the guest's clock
}

// message is one line: a verdict, or the word that there are no more.
type message struct {
	*Verdict
	Done bool `json:"done,omitempty"`
}

// Write sends a verdict.
func Write(to io.Writer, v Verdict) error {
	return json.NewEncoder(to).Encode(message{Verdict: &v})
}

// Done says that there are no more verdicts.
func Done(to io.Writer) error {
	return json.NewEncoder(to).Encode(message{Done: true})
}

// ErrCutShort says that a stream ends before the guest said that it was done.
var ErrCutShort = errors.New("the guest ended before it was done")

// Read calls judge with every verdict of a stream, as it comes in, and returns when the stream ends.
func Read(from io.Reader, judge func(Verdict)) error {
	messages := json.NewDecoder(from)
	done := false
	for {
		var m message
		err := messages.Decode(&m)
		switch {
		case errors.Is(err, io.EOF) && done:
			return nil
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return ErrCutShort
		case err != nil:
			return fmt.Errorf("reading the guest's verdicts: %w", err)
		case m.Verdict != nil:
			judge(*m.Verdict)
		}
		done = done || m.Done
	}
}
