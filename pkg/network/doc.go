// Package network parses what a Pod's annotation selects and what a Network resource says, and
// computes interface names. It validates every name, namespace and address on the way, so that they
// are safe in a URL, in CNI_ARGS and as the name of an interface. It does no I/O.
package network
