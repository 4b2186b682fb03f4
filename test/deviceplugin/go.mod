// This module is a device plugin for the tests of devices. It is built on the kubelet's own API,
// which brings grpc-go: none of that reaches vendor/.
module github.com/kaloom/kubernetes-kactus-cni-plugin/test/deviceplugin

go 1.26.8

require (
	google.golang.org/grpc v1.82.1
	google.golang.org/protobuf v1.36.12
	k8s.io/kubelet v0.37.2
)

require (
	golang.org/x/net v0.57.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.40.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260526163538-3dc84a4a5aaa // indirect
)
