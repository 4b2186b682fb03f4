package agent

import (
	"fmt"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// A Step is one hot operation.
type Step struct {
	Operation Operation
	// Selection is the selection to attach, or, for a DEL, what the record has of the one to which
	// the attachment was made.
	Selection network.Selection
	// IfName is the name of the network's interface in the Pod.
	IfName string
	Reason Reason
	// Changes are what is requested otherwise than it is attached, where the reason is Changed.
	Changes []Change
}

// Operation is the CNI_COMMAND of a hot operation.
type Operation string

// The hot operations.
const (
	Add Operation = "ADD"
	Del Operation = "DEL"
)

// Reason says why a step is necessary.
type Reason string

// The reasons of a step. Where a network is Changed, there is a DEL and an ADD.
const (
	Added   Reason = "added"
	Removed Reason = "removed"
	Changed Reason = "changed"
	// HalfMade means that an ADD did not end, or that a DEL failed: kactus tears down what there is
	// before it attaches the network anew.
	HalfMade Reason = "half made"
	// Lost means that the kernel no longer has the interface: kactus tears down what is left of the
	// attachment before it attaches the network anew.
	Lost Reason = "interface lost"
)

// Change is a part of a request that is not as it is attached.
type Change string

// The parts of a request that are compared.
const (
	Namespace     Change = "namespace"
	InterfaceName Change = "interface name"
	MACAddress    Change = "MAC address"
	Addresses     Change = "addresses"
	OtherRequests Change = "requests"
)

// String returns the step as a phrase, such as "hot DEL of the network green (net9f27410725ab):
// changed: MAC address".
func (s Step) String() string {
	return fmt.Sprintf("hot %s of the network %s (%s): %s", s.Operation, s.Selection.Name, s.IfName, s.why())
}

func (s Step) why() string {
	if len(s.Changes) == 0 {
		return string(s.Reason)
	}
	var changes []string
	for _, c := range s.Changes {
		changes = append(changes, string(c))
	}
	return string(s.Reason) + ": " + strings.Join(changes, ", ")
}
