package cniconf

import "github.com/containernetworking/cni/pkg/version"

// HasVerb says whether that version of the CNI specification has the verb: CHECK came with 0.4.0, GC and STATUS with 1.1.0.
func HasVerb(cniVersion, verb string) bool {
	since := "0.1.0"
	switch verb {
	case "CHECK":
		since = "0.4.0"
	case "GC", "STATUS":
		since = "1.1.0"
	}
	has, err := version.GreaterThanOrEqualTo(cniVersion, since)
	return err == nil && has
}

// Has says whether the delegate is to be given the verb: its version of the CNI specification has it, and its configuration does not disable it.
func (c Chain) Has(verb string) bool {
	disabled := verb == "CHECK" && c.DisableCheck || verb == "GC" && c.DisableGC
	return HasVerb(c.CNIVersion, verb) && !disabled
}
