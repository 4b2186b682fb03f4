package ledger

import (
	"encoding/json"
	"fmt"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// MarkNoInterface records that the delegate of an attachment made no interface that the kernel
// knows by its name, as one does that hands a device to a program.
func (r *LockedRecord) MarkNoInterface(ifName string) error {
	err := r.changeAttachment(ifName, func(a *Attachment) { a.NoInterface = true })
	if err != nil {
		return fmt.Errorf("write to the ledger that %s of the container %s has no interface: %w", ifName, r.id, err)
	}
	return nil
}

// MarkMACChange records the MAC address that the interface of an attachment has before kactus sets
// another, so that a tear-down can put it back. If it returns an error, the address must stay.
//
// The directory is not synced: a process that is killed loses nothing without that, and a loss of
// power ends the network namespace and what was set in it.
func (r *LockedRecord) MarkMACChange(ifName string, previous network.MAC) error {
	err := r.changeAttachment(ifName, func(a *Attachment) { a.PreviousMAC = previous })
	if err != nil {
		return fmt.Errorf("write the MAC address that %s of the container %s has to the ledger: %w", ifName, r.id, err)
	}
	return nil
}

// MarkRouteChange records the default routes that the Pod has before kactus sets that of an
// attachment, so that a tear-down can put them back. If it returns an error, they must stay. What
// is synced is as with MarkMACChange.
func (r *LockedRecord) MarkRouteChange(ifName string, previous []netns.Route) error {
	err := r.changeAttachment(ifName, func(a *Attachment) { a.PreviousRoutes = previous })
	if err != nil {
		return fmt.Errorf("write the default routes that the container %s has before %s takes them to the ledger: %w",
			r.id, ifName, err)
	}
	return nil
}

// MarkDeviceInfo records what the device-info file of an attachment says.
func (r *LockedRecord) MarkDeviceInfo(ifName string, info json.RawMessage) error {
	err := r.changeAttachment(ifName, func(a *Attachment) { a.DeviceInfo = info })
	if err != nil {
		return fmt.Errorf("write the device-info of %s of the container %s to the ledger: %w", ifName, r.id, err)
	}
	return nil
}

// changeAttachment edits the attachment with that interface name and writes the record.
func (r *LockedRecord) changeAttachment(ifName string, edit func(*Attachment)) error {
	return r.change(func(record *Record) {
		for i := range record.Attachments {
			if record.Attachments[i].IfName == ifName {
				edit(&record.Attachments[i])
			}
		}
	})
}
