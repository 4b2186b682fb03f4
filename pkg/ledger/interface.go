package ledger

import "fmt"

// MarkNoInterface records that the delegate of an attachment made no interface that the kernel
// knows by its name, as one does that hands a device to a program.
func (r *LockedRecord) MarkNoInterface(ifName string) error {
	err := r.change(func(record *Record) {
		for i, a := range record.Attachments {
			if a.IfName == ifName {
				record.Attachments[i].NoInterface = true
			}
		}
	})
	if err != nil {
		return fmt.Errorf("write to the ledger that %s of the container %s has no interface: %w", ifName, r.id, err)
	}
	return nil
}
