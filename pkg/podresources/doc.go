// Package podresources asks the kubelet which devices it has given to a Pod, through the kubelet's
// pod-resources API: the gRPC service v1.PodResourcesLister on a unix socket of the node.
//
// A [Client] makes one call, Get, or List where the kubelet has no Get, which came with Kubernetes
// 1.27 and is on by default since 1.34. A kubelet that answers too many such calls refuses some for
// a moment; they are made again until the time limit.
//
// grpc-go and the generated types take a millisecond of every process start, and
// connectrpc.com/connect more than a third of one. So a call is an HTTP/2 request of net/http here,
// and protowire decodes the few fields that kactus needs. docs/performance.md has the figures.
package podresources
