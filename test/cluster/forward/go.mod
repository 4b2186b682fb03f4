// This module is the forwarder by which the machine reaches a control plane that has a
// network of its own. It is a module of its own so that it is built as the other parts
// are.
module github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster/forward

go 1.26.0
