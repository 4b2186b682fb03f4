//go:build tools

// Package crio imports the command of CRI-O that the tests build, so that go.mod and go.sum of this
// module contain what it needs and nothing else. The command crio-import is this module's own.
package crio

import _ "github.com/cri-o/cri-o/cmd/crio"
