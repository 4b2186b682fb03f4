package podresources

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// The numbers of the fields, from k8s.io/kubelet/pkg/apis/podresources/v1/api.proto.
const (
	getRequestPodName      = 1
	getRequestPodNamespace = 2

	answerPodResources = 1 // of both answers

	podName       = 1
	podNamespace  = 2
	podContainers = 3

	containerDevices          = 2
	containerDynamicResources = 5

	devicesResourceName = 1
	devicesDeviceIDs    = 2

	dynamicClaimResources = 4

	claimedDriverName = 2
	claimedPoolName   = 3
	claimedDeviceName = 4
)

func encodeGet(namespace, name string) []byte {
	b := protowire.AppendTag(nil, getRequestPodName, protowire.BytesType)
	b = protowire.AppendString(b, name)
	b = protowire.AppendTag(b, getRequestPodNamespace, protowire.BytesType)
	return protowire.AppendString(b, namespace)
}

// decode returns the devices of the Pod in a GetPodResourcesResponse, or in a
// ListPodResourcesResponse, which is the same with several Pods. Nothing in it tells a Pod from
// another of its name.
func decode(message []byte, namespace, name string) (Devices, error) {
	var pods [][]byte
	err := eachField(message, func(field protowire.Number, value []byte) error {
		if field != answerPodResources {
			return nil
		}
		named, err := isNamed(value, namespace, name)
		if named {
			pods = append(pods, value)
		}
		return err
	})
	switch {
	case err != nil:
		return Devices{}, fmt.Errorf("decode the answer: %w", err)
	case len(pods) == 0:
		return Devices{}, errors.New("the answer has no such Pod")
	case len(pods) > 1:
		return Devices{}, fmt.Errorf("the answer has %d Pods of that name", len(pods))
	}
	return decodePod(pods[0])
}

func isNamed(pod []byte, namespace, name string) (bool, error) {
	var gotNamespace, gotName string
	err := eachField(pod, func(field protowire.Number, value []byte) (err error) {
		switch field {
		case podName:
			gotName, err = text(value)
		case podNamespace:
			gotNamespace, err = text(value)
		}
		return err
	})
	return gotNamespace == namespace && gotName == name, err
}

func decodePod(pod []byte) (Devices, error) {
	devices := Devices{IDs: map[string][]string{}}
	err := eachField(pod, func(field protowire.Number, container []byte) error {
		if field != podContainers {
			return nil
		}
		return eachField(container, devices.addField)
	})
	if err != nil {
		return Devices{}, fmt.Errorf("decode the devices: %w", err)
	}
	for resource, ids := range devices.IDs {
		slices.Sort(ids)
		devices.IDs[resource] = slices.Compact(ids)
	}
	return devices, nil
}

// addField adds what a field of ContainerResources has.
func (d *Devices) addField(field protowire.Number, value []byte) error {
	switch field {
	case containerDevices:
		return d.addDevices(value)
	case containerDynamicResources:
		return eachField(value, func(field protowire.Number, value []byte) error {
			if field != dynamicClaimResources {
				return nil
			}
			return d.addClaimed(value)
		})
	}
	return nil
}

func (d *Devices) addDevices(containerDevices []byte) error {
	var resource string
	var ids []string
	err := eachField(containerDevices, func(field protowire.Number, value []byte) (err error) {
		switch field {
		case devicesResourceName:
			resource, err = text(value)
		case devicesDeviceIDs:
			var id string
			id, err = text(value)
			ids = append(ids, id)
		}
		return err
	})
	if len(ids) > 0 {
		d.IDs[resource] = append(d.IDs[resource], ids...)
	}
	return err
}

func (d *Devices) addClaimed(claimResource []byte) error {
	var device ClaimedDevice
	err := eachField(claimResource, func(field protowire.Number, value []byte) (err error) {
		switch field {
		case claimedDriverName:
			device.Driver, err = text(value)
		case claimedPoolName:
			device.Pool, err = text(value)
		case claimedDeviceName:
			device.Device, err = text(value)
		}
		return err
	})
	if !slices.Contains(d.Claimed, device) { // several containers may use one claim
		d.Claimed = append(d.Claimed, device)
	}
	return err
}

// eachField calls use with each field of a message whose value has a length: strings and messages.
func eachField(message []byte, use func(field protowire.Number, value []byte) error) error {
	for len(message) > 0 {
		field, wireType, n := protowire.ConsumeTag(message)
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		if wireType != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(field, wireType, message); n < 0 {
				return protowire.ParseError(n)
			}
			message = message[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(message)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if err := use(field, value); err != nil {
			return err
		}
		message = message[n:]
	}
	return nil
}

// text returns a value as a string, which is UTF-8.
func text(value []byte) (string, error) {
	if !utf8.Valid(value) {
		return "", fmt.Errorf("%.64q is not UTF-8", value)
	}
	return string(value), nil
}
