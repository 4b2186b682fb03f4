package cniconf

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/containernetworking/cni/pkg/types"
	types040 "github.com/containernetworking/cni/pkg/types/040"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/types/create"
)

// Result is the result of an ADD (CNI specification, section 5, "Success"), in the form of the
// newest version of the specification, whatever version the plugin printed.
type Result = types100.Result

// Interface is one interface of a result.
type Interface = types100.Interface

// NewResult returns r as a Result. What the CNI library decodes, but can neither convert nor read
// again, is an error: a null in the place of an interface, or an address that is missing.
func NewResult(r types.Result) (*Result, error) {
	if hasNull(r) {
		return nil, errors.New("null in interfaces, ips or routes")
	}
	result, err := types100.NewResultFromResult(r)
	if err != nil {
		return nil, err
	}
	return result, validateResult(result)
}

// ParseResult parses a result of whatever version.
func ParseResult(data []byte) (*Result, error) {
	r, err := create.CreateFromBytes(data)
	if err != nil {
		return nil, err
	}
	return NewResult(r)
}

// EncodeResult returns r as JSON of that version of the CNI specification.
func EncodeResult(r *Result, cniVersion string) (json.RawMessage, error) {
	converted, err := r.GetAsVersion(cniVersion)
	if err != nil {
		return nil, err
	}
	return json.Marshal(converted)
}

// hasNull reports whether a list of the result has a null, which the CNI library does not expect
// when it converts the result.
func hasNull(result types.Result) bool {
	switch r := result.(type) {
	case *types100.Result:
		return slices.Contains(r.Interfaces, nil) || slices.Contains(r.IPs, nil) || slices.Contains(r.Routes, nil)
	case *types040.Result:
		return slices.Contains(r.Interfaces, nil) || slices.Contains(r.IPs, nil) || slices.Contains(r.Routes, nil)
	}
	return false
}

func validateResult(r *Result) error {
	for i, ip := range r.IPs {
		if !isSubnet(ip.Address) {
			return fmt.Errorf("ips[%d]: no address with a prefix length", i)
		}
	}
	for i, route := range r.Routes {
		if !isSubnet(route.Dst) {
			return fmt.Errorf("routes[%d]: no destination with a prefix length", i)
		}
	}
	return nil
}

func isSubnet(n net.IPNet) bool {
	_, bits := n.Mask.Size()
	return n.IP.To16() != nil && bits != 0
}
