// Package constants has what the test reads.
package constants

import "example.com/other"

const (
	First = iota
	Second
)

const text = "a string"

const Other = other.Constant
