package metaplugin

import (
	"encoding/json"
	"maps"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/deviceinfo"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
)

// withDeviceInfoFile names the device-info file of an attachment to the plugins that declare the
// capability. The name is in the ledger before there is a file.
func (p *Plugin) withDeviceInfoFile(containerID string, a plan.Attachment) plan.Attachment {
	if !a.Config.Declares(deviceinfo.Capability) {
		return a
	}
	a.RuntimeConfig = maps.Clone(a.RuntimeConfig)
	if a.RuntimeConfig == nil {
		a.RuntimeConfig = map[string]json.RawMessage{}
	}
	a.RuntimeConfig[deviceinfo.Capability], _ = json.Marshal(p.DeviceInfo.Path(containerID, a.IfName))
	return a
}

// writeDeviceInfo copies what the device plugin says of the attachment's device to the attachment's
// own file, if it has one. removeDeviceInfo undoes it.
func (p *Plugin) writeDeviceInfo(containerID string, a ledger.Attachment) error {
	if !hasDeviceInfoFile(a) {
		return nil
	}
	info := p.ofDevice(a)
	if info == nil {
		return nil
	}
	if err := p.DeviceInfo.Write(containerID, a.IfName, info); err != nil {
		return ioError(err)
	}
	return nil
}

// readDeviceInfo returns what is known of the attachment's device after its ADD: by its own file,
// which its plugins may have changed, or else by that of the device plugin; nil for nothing. What
// cannot be read costs no Pod its network.
func (p *Plugin) readDeviceInfo(containerID string, a ledger.Attachment) json.RawMessage {
	if !hasDeviceInfoFile(a) {
		return p.ofDevice(a)
	}
	info, err := p.DeviceInfo.OfAttachment(containerID, a.IfName)
	if err != nil {
		p.Log.Warn("nothing is known of a device", "network", a.Network, "interface", a.IfName, "cause", err)
	}
	return info
}

func (p *Plugin) ofDevice(a ledger.Attachment) json.RawMessage {
	if a.Device == "" {
		return nil
	}
	info, err := p.DeviceInfo.OfDevice(a.ResourceName, a.Device)
	if err != nil {
		p.Log.Warn("nothing is known of a device", "network", a.Network, "interface", a.IfName, "cause", err)
	}
	return info
}

// removeDeviceInfo removes the file of an attachment that is torn down, if it has one.
func (p *Plugin) removeDeviceInfo(containerID string, a ledger.Attachment) error {
	if !hasDeviceInfoFile(a) {
		return nil
	}
	return p.DeviceInfo.Remove(containerID, a.IfName)
}

func hasDeviceInfoFile(a ledger.Attachment) bool {
	_, ok := a.RuntimeConfig[deviceinfo.Capability]
	return ok
}
