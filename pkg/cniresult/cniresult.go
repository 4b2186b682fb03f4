// Package cniresult reads what plugins print as the result of an ADD, in whatever version of the CNI specification.
package cniresult

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/containernetworking/cni/pkg/types"
	types040 "github.com/containernetworking/cni/pkg/types/040"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/types/create"
)

// As is the result in that version of the CNI specification. An error is also what the CNI library reads but could not convert, or would not
// read again from the ledger: a null in the place of a device, or an address that is none.
func As(result types.Result, version string) (types.Result, error) {
	if err := check(result); err != nil {
		return nil, err
	}
	return result.GetAsVersion(version)
}

// Read is the result that data holds, as As has it.
func Read(data []byte, version string) (types.Result, error) {
	result, err := create.CreateFromBytes(data)
	if err != nil {
		return nil, err
	}
	return As(result, version)
}

// Current is the result that data holds, in the newest version of the CNI specification.
func Current(data []byte) (*types100.Result, error) {
	result, err := Read(data, types100.ImplementedSpecVersion)
	if err != nil {
		return nil, err
	}
	return types100.GetResult(result)
}

func check(result types.Result) error {
	holes := false
	switch r := result.(type) {
	case *types100.Result:
		holes = slices.Contains(r.Interfaces, nil) || slices.Contains(r.IPs, nil) || slices.Contains(r.Routes, nil)
	case *types040.Result:
		holes = slices.Contains(r.Interfaces, nil) || slices.Contains(r.IPs, nil) || slices.Contains(r.Routes, nil)
	}
	if holes {
		return errors.New("it has a null in interfaces, ips or routes")
	}
	data, err := json.Marshal(result)
	if err != nil {
		return err
	}
	if _, err := create.CreateFromBytes(data); err != nil {
		return fmt.Errorf("it lacks an address, or has one that is none: %w", err)
	}
	return nil
}
