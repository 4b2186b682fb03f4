package netconf

import (
	"encoding/json"

	"github.com/containernetworking/cni/pkg/types"
)

// validAttachments returns what the runtime passes to a GC as still valid (CNI specification 1.1.0,
// section 2, "GC"). It returns nil where the key is missing, and an empty list for null too, which
// is how a runtime that is written in Go encodes an empty list.
func (p *parser) validAttachments() []types.GCAttachment {
	key := "cni.dev/valid-attachments"
	raw, ok := p.take(key)
	if !ok { // the CNI library 1.2.0 has the key of a draft of the specification
		key = "cni.dev/attachments"
		raw, ok = p.take(key)
	}
	if !ok {
		return nil
	}
	var valid []types.GCAttachment
	if err := json.Unmarshal(raw, &valid); err != nil {
		p.fail("%s: must be an array of objects", key)
		return nil
	}
	for i, a := range valid {
		if a.ContainerID == "" {
			p.fail("%s[%d]: containerID: missing", key, i)
		}
	}
	return append([]types.GCAttachment{}, valid...)
}
