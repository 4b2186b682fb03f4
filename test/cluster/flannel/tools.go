//go:build tools

// Package flannel imports the command that the tests build, so that go.mod and go.sum of this
// module contain what it needs and nothing else.
package flannel

import _ "github.com/containernetworking/plugins/plugins/meta/flannel"
