//go:build tools

// Package multus imports the command that the tests build, so that go.mod and go.sum of this module
// contain what it needs and nothing else.
package multus

import _ "gopkg.in/k8snetworkplumbingwg/multus-cni.v4/cmd/multus"
