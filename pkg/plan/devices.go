package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// A device is one that the kubelet may give to a Pod.
type device struct{ resource, id string }

// checkDevice reports a device that the Pod asks for where there is none to have.
func (a Attachment) checkDevice() error {
	if a.DeviceID != "" && a.ResourceName == "" {
		return errors.New("deviceID: the network is not one of devices: " +
			"its object names no resource in the annotation " + network.ResourceAnnotation)
	}
	return nil
}

// AssignDevices gives each attachment that needs a device one of its resource. given has the IDs of
// the Pod's devices by resource, in order; used are the Pod's other attachments, whose devices are
// taken. An attachment that asks for a device gets that one. Of the others, the first gets the
// first device that is left, and so on. Only what the kubelet has given to the Pod is assigned.
func AssignDevices(attachments []Attachment, given map[string][]string, used []Attachment) ([]Attachment, error) {
	taken := map[device]string{} // the interface that has it
	for _, a := range used {
		taken[device{a.ResourceName, a.Device}] = a.IfName
	}
	assigned := slices.Clone(attachments)
	for i, a := range assigned {
		if a.DeviceID == "" {
			continue
		}
		if err := checkChosen(a, given[a.ResourceName], taken); err != nil {
			return nil, fmt.Errorf("network %s/%s: deviceID: %w", a.Namespace, a.Network, err)
		}
		assigned[i].Device = a.DeviceID
		taken[device{a.ResourceName, a.DeviceID}] = a.IfName
	}
	for i, a := range assigned {
		if a.ResourceName == "" {
			continue
		}
		if a.Device == "" {
			ids := given[a.ResourceName]
			free := slices.IndexFunc(ids, func(id string) bool { return taken[device{a.ResourceName, id}] == "" })
			if free < 0 {
				return nil, noDeviceLeft(a, len(ids), slices.Concat(used, attachments))
			}
			a.Device = ids[free]
			taken[device{a.ResourceName, a.Device}] = a.IfName
		}
		var err error
		if assigned[i], err = a.withDevice(); err != nil {
			return nil, fmt.Errorf("network %s/%s: spec.config: %w", a.Namespace, a.Network, err)
		}
	}
	return assigned, nil
}

// checkChosen reports a device that an attachment asks for and cannot have.
func checkChosen(a Attachment, given []string, taken map[device]string) error {
	if !slices.Contains(given, a.DeviceID) {
		return fmt.Errorf("%.64q is none of the devices of %s that the kubelet has given to the Pod: %s",
			a.DeviceID, a.ResourceName, listed(given))
	}
	if ifName := taken[device{a.ResourceName, a.DeviceID}]; ifName != "" {
		return fmt.Errorf("%.64q of %s is the device of the Pod's interface %s", a.DeviceID, a.ResourceName, ifName)
	}
	return nil
}

// listed returns IDs for an error.
func listed(ids []string) string {
	if len(ids) == 0 {
		return "none"
	}
	const limit = 8
	list := strings.Join(ids[:min(len(ids), limit)], ", ")
	if len(ids) > limit {
		list += ", …"
	}
	return list
}

func noDeviceLeft(a Attachment, given int, all []Attachment) error {
	needed := 0
	for _, other := range all {
		if other.ResourceName == a.ResourceName {
			needed++
		}
	}
	return fmt.Errorf("network %s/%s: no device of the resource %s is left: the Pod has %d, and its networks "+
		"need %d: its containers must request as many in resources.limits",
		a.Namespace, a.Network, a.ResourceName, given, needed)
}

// withDevice returns the attachment with its device in the configuration, under the names by which
// plugins look for it, and in what it passes by capability.
func (a Attachment) withDevice() (Attachment, error) {
	chain, err := a.Config.With(map[string]string{"deviceID": a.Device, "pciBusID": a.Device})
	if err != nil {
		return Attachment{}, err
	}
	a.Config = chain
	id, err := json.Marshal(a.Device)
	a.RuntimeConfig = merge(a.RuntimeConfig, map[string]json.RawMessage{"deviceID": id})
	return a, err
}
