//go:build tools

// Package kubernetes imports the commands of Kubernetes that the tests build, so that go.mod and
// go.sum of this module contain what they need and nothing else. To add a part of Kubernetes,
// import its command here, run `go mod tidy`, and add a Part in ../part.go.
package kubernetes

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kube-scheduler"
	_ "k8s.io/kubernetes/cmd/kubectl"
	_ "k8s.io/kubernetes/cmd/kubelet"
)
