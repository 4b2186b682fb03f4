//go:build tools

// Package etcd imports the command that the tests build, so that go.mod and go.sum of this module
// contain what it needs and nothing else.
package etcd

import _ "go.etcd.io/etcd/server/v3"
