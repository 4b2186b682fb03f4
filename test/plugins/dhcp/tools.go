//go:build tools

// Package dhcp imports the IPAM plugin that the tests build, so that go.mod and go.sum of this
// module contain what it needs and nothing else.
package dhcp

import _ "github.com/containernetworking/plugins/plugins/ipam/dhcp"
