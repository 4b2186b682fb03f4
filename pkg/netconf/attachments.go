package netconf

import (
	"encoding/json"

	"github.com/containernetworking/cni/pkg/types"
)

// validAttachments reads what a GC is told that is still valid: nil where the runtime says nothing of it, and empty where it says
// that nothing is, be it by null, which is how a runtime in Go writes an empty list.
func (r *reader) validAttachments() []types.GCAttachment {
	raw, ok := r.take("cni.dev/valid-attachments")
	if !ok { // the CNI library 1.2.0 knows the key by a name that a draft of the specification had
		raw, ok = r.take("cni.dev/attachments")
	}
	if !ok {
		return nil
	}
	var valid []types.GCAttachment
	if err := json.Unmarshal(raw, &valid); err != nil {
		r.fail("cni.dev/valid-attachments: not an array of objects")
	}
	for i, a := range valid {
		if a.ContainerID == "" {
			r.fail("cni.dev/valid-attachments[%d]: containerID: there is none", i)
		}
	}
	return append([]types.GCAttachment{}, valid...)
}
