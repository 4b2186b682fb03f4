//go:build tools

// Package containerd imports the commands of containerd that the tests build, so that go.mod and
// go.sum of this module contain what they need and nothing else.
package containerd

import (
	_ "github.com/containerd/containerd/v2/cmd/containerd"
	_ "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"
	_ "github.com/containerd/containerd/v2/cmd/ctr"
)
