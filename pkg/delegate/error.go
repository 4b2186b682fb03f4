package delegate

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
)

// Error reports that a plugin failed.
type Error struct {
	// Operation, Network, IfName and Plugin say what was being done. Network is the name of the
	// delegate, Plugin the type of the plugin. IfName is empty for an operation without a
	// container.
	Operation, Network, IfName, Plugin string
	// Code is the CNI error code that the plugin printed; zero if it printed none.
	Code uint
	// Details and Stderr are the plugin's own words besides its message; both may be empty.
	Details, Stderr string

	cause error
}

func newError(operation string, c Call, plugin cniconf.Plugin, cause error) *Error {
	e := &Error{Operation: operation, Network: c.Config.Name, IfName: c.IfName, Plugin: plugin.Type, cause: cause}
	var failed *exitError
	if errors.As(cause, &failed) {
		e.Code, e.Details, e.Stderr = failed.printed.Code, failed.printed.Details, failed.stderr
	}
	return e
}

// Error returns one sentence that ends in the plugin's message.
func (e *Error) Error() string {
	target := e.Network
	if e.IfName != "" {
		target += " for " + e.IfName
	}
	return fmt.Sprintf("%s of the delegate %s: plugin %s: %v", e.Operation, target, e.Plugin, e.cause)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// Words returns, on one line, what the plugin said besides its message: its CNI error code, its
// details and its stderr.
func (e *Error) Words() string {
	var words []string
	if e.Code != 0 {
		words = append(words, fmt.Sprintf("code %d", e.Code))
	}
	if e.Details != "" {
		words = append(words, "details: "+e.Details)
	}
	if e.Stderr != "" {
		words = append(words, "stderr: "+e.Stderr)
	}
	if len(words) == 0 {
		return ""
	}
	return e.Plugin + ": " + strings.Join(words, "; ")
}

// exitError reports how the process of a plugin failed.
type exitError struct {
	cause error
	// printed is the plugin's own CNI error; its Code and Msg are zero if it printed none.
	printed types.Error
	stderr  string
}

func newExitError(cause error, stdout, stderr capped) *exitError {
	e := &exitError{cause: cause, stderr: stderr.String()}
	if err := json.Unmarshal(stdout.data, &e.printed); err != nil || e.printed.Msg == "" && e.printed.Code == 0 {
		e.printed = types.Error{}
		if len(stdout.data) > 0 {
			const quoted = 256
			e.cause = fmt.Errorf("%w, and printed what is not a CNI error: %q",
				cause, stdout.data[:min(quoted, len(stdout.data))])
		}
	}
	e.printed.Msg, e.printed.Details = cut(e.printed.Msg), cut(e.printed.Details)
	return e
}

// cut returns the part of a plugin's words that an error quotes.
func cut(words string) string { return words[:min(maxQuoted, len(words))] }

func (e *exitError) Error() string {
	if e.printed.Msg != "" {
		return e.printed.Msg
	}
	return e.cause.Error()
}

func (e *exitError) Unwrap() error { return e.cause }
