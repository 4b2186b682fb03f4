//go:build tools

// Package helm imports the command that the tests build, so that go.mod and go.sum of this module
// contain what it needs and nothing else.
package helm

import _ "helm.sh/helm/v4/cmd/helm"
