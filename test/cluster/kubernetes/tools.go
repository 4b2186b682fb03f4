//go:build tools

// Package kubernetes names the commands of Kubernetes that the tests build, so
// that go.mod and go.sum of this module hold what they need and nothing else.
// One more part of Kubernetes is one more import here, `go mod tidy`, and one
// more Part in ../part.go.
package kubernetes

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kube-scheduler"
	_ "k8s.io/kubernetes/cmd/kubectl"
	_ "k8s.io/kubernetes/cmd/kubelet"
)
