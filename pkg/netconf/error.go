package netconf

import "strings"

// An Error lists everything that is wrong with a netconf.
type Error struct {
	// Problems each begin with the key that is wrong, unless Undecodable.
	Problems []string
	// Undecodable means that the netconf is not a JSON object.
	Undecodable bool
	// UnknownVersion means that the cniVersion is not one of Versions.
	UnknownVersion bool
	// UnknownKeys means that nothing is wrong but keys that kactus does not know. Each problem has
	// the key and its value.
	UnknownKeys bool
}

// Error returns the problems, separated by semicolons.
func (e *Error) Error() string { return strings.Join(e.Problems, "; ") }
