//go:build tools

// Package flannel names the command that the tests build, so that go.mod and go.sum
// of this module hold what it needs and nothing else.
package flannel

import _ "github.com/containernetworking/plugins/plugins/meta/flannel"
