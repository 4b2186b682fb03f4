package delegate

import (
	"errors"
	"fmt"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
)

// Error is that a plugin failed.
type Error struct {
	// Verb, Network, Device and Plugin say what was being done: Network is the delegate's name, Plugin its type. Device is empty
	// where the verb is for no container.
	Verb, Network, Device, Plugin string
	// Code is the CNI error code that the plugin printed; zero where it printed none.
	Code uint
	// Details and Stderr are the plugin's own words beside its message; both may be empty.
	Details, Stderr string

	cause error
}

func fail(verb string, c Call, plugin cniconf.Plugin, cause error) *Error {
	e := &Error{Verb: verb, Network: c.Config.Name, Device: c.Device, Plugin: plugin.Type, cause: cause}
	var ended *exit
	if errors.As(cause, &ended) {
		e.Code, e.Details, e.Stderr = ended.said.Code, ended.said.Details, ended.stderr
	}
	return e
}

// Error is one sentence that ends in the plugin's message.
func (e *Error) Error() string {
	whose := e.Network
	if e.Device != "" {
		whose += " for " + e.Device
	}
	return fmt.Sprintf("%s of the delegate %s: plugin %s: %v", e.Verb, whose, e.Plugin, e.cause)
}

// Unwrap is why.
func (e *Error) Unwrap() error { return e.cause }

// Words are what the plugin said beside its message: its CNI error code, its details and its stderr, on one line.
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
