// Package nullipam is an IPAM plugin that assigns no address of its own (CNI specification, section
// 4), for networks whose applications bring their addresses. The main plugins of the CNI project
// reject the result of an IPAM plugin that has no address, so the result of an ADD is what an
// interface has anyway: its IPv6 link-local address. ADD takes the address that the kernel has
// given to the interface away from it, and the main plugin puts it back.
//
// An ADD does not depend on when, or whether, the kernel gives an address. An interface that is up
// has one at once, unless it has no carrier or its addr_gen_mode is "none". Then ADD computes the
// address that the kernel would form from the MAC address, and keeps the kernel from adding it in
// the meantime, which would make the main plugin fail. ADD does not wait for duplicate address
// detection: that starts anew when the main plugin puts the address back.
//
// A main plugin that asks for an address before it makes the interface, such as ptp, gets one that
// is derived from the attachment, with a gateway for the other end, which ptp needs.
//
// Nothing is reserved, so DEL and GC have nothing to do.
package nullipam

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/types/create"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
)

// Name is the plugin's type, the name under which main plugins execute it.
const Name = "null"

// CodeCheck is the error code of a CHECK that does not find the address of the ADD. It is kactus's
// own code for a CHECK.
const CodeCheck uint = 107

// Run runs an operation of the CNI specification other than VERSION, with the variables that getenv
// returns and the configuration of the main plugin, and returns what the plugin prints. It changes
// the network namespace of its thread, and restores it. An error is a *types.Error.
func Run(operation string, getenv func(string) string, stdin []byte) (json.RawMessage, error) {
	result, err := run(operation, getenv, stdin)
	var coded *types.Error
	switch {
	case err == nil:
		return result, nil
	case errors.As(err, &coded):
		return nil, coded
	default:
		return nil, fail(types.ErrIOFailure, "%v", err)
	}
}

func run(operation string, getenv func(string) string, stdin []byte) (json.RawMessage, error) {
	switch operation {
	case "ADD", "CHECK", "GC", "STATUS":
	case "DEL": // whatever else is wrong
		return nil, nil
	default:
		return nil, fail(types.ErrInvalidEnvironmentVariables,
			"CNI_COMMAND: %.64q is not an operation of the CNI specification", operation)
	}
	conf, err := parseConf(operation, stdin)
	if err != nil {
		return nil, err
	}
	switch operation {
	case "GC":
		return nil, nil
	case "STATUS":
		return nil, requireIPv6()
	}
	at, err := parseAttachment(getenv)
	if err != nil {
		return nil, err
	}
	if operation == "CHECK" {
		return nil, check(at, conf)
	}
	return add(at, conf)
}

// add returns the encoded result.
func add(at attachment, conf conf) (json.RawMessage, error) {
	var result *cniconf.Result
	err := at.inNetns(func() (err error) {
		result, err = assign(at, conf.Name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("assign an address to %s in %s: %w", at.ifName, at.netns, err)
	}
	return cniconf.EncodeResult(result, conf.CNIVersion)
}

// check compares the result of the main plugin's ADD with the interface.
func check(at attachment, conf conf) error {
	if len(conf.PrevResult) == 0 {
		return fail(types.ErrInvalidNetworkConfig, "configuration: prevResult: missing")
	}
	decoded, err := create.Create(conf.CNIVersion, conf.PrevResult)
	if err != nil {
		return fail(types.ErrInvalidNetworkConfig, "configuration: prevResult: %v", err)
	}
	result, err := cniconf.NewResult(decoded)
	if err != nil {
		return fail(types.ErrInvalidNetworkConfig, "configuration: prevResult: %v", err)
	}
	want := linkLocalOf(result, at.ifName)
	if len(want) == 0 {
		return fail(CodeCheck, "check %s in %s: no link-local address in prevResult", at.ifName, at.netns)
	}
	return at.inNetns(func() error { return expect(at, want) })
}

// fail returns an error of the CNI specification with that code and the formatted message.
func fail(code uint, format string, args ...any) error {
	return types.NewError(code, fmt.Sprintf(format, args...), "")
}
