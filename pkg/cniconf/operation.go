package cniconf

import "github.com/containernetworking/cni/pkg/version"

// SupportsOperation reports whether that version of the CNI specification has the operation: CHECK
// came with 0.4.0, GC and STATUS with 1.1.0.
func SupportsOperation(cniVersion, operation string) bool {
	since := "0.1.0"
	switch operation {
	case "CHECK":
		since = "0.4.0"
	case "GC", "STATUS":
		since = "1.1.0"
	}
	ok, err := version.GreaterThanOrEqualTo(cniVersion, since)
	return err == nil && ok
}

// Supports reports whether the delegate runs the operation: its version of the CNI specification
// has it, and its configuration does not disable it.
func (c Chain) Supports(operation string) bool {
	disabled := operation == "CHECK" && c.DisableCheck || operation == "GC" && c.DisableGC
	return SupportsOperation(c.CNIVersion, operation) && !disabled
}
