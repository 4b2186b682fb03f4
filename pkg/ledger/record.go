package ledger

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

// Format is the version of the ledger's files.
const Format = 1

// Record is what the ledger knows of one container.
type Record struct {
	Format      int         `json:"format"`
	ContainerID string      `json:"containerID"`
	Netns       Netns       `json:"netns"`
	Pod         podargs.Pod `json:"pod"`
	// Device is the default network's; empty where the ledger knows of hot networks alone.
	Device string `json:"device,omitempty"`
	// Attachments exist, or may exist.
	Attachments []Entry `json:"attachments"`
	// Orphans are attachments that a DEL gave up: the container is gone, and something of theirs may be left.
	Orphans []Entry `json:"orphans,omitempty"`
}

// Entry is one attachment of a Record.
type Entry struct {
	plan.Attachment
	State State `json:"state"`
	// Args is the CNI_ARGS that the delegate was given.
	Args string `json:"args"`
	// Created is when the attachment was planned.
	Created time.Time `json:"created"`
	// Result is what the delegate's ADD printed, with what kactus corrected; empty while State is Planned.
	Result json.RawMessage `json:"result,omitempty"`
	// Failures is how many DELs of it failed, the first of them at FailingSince, the last for the reason LastFailure.
	Failures     int        `json:"failures,omitempty"`
	FailingSince *time.Time `json:"failingSince,omitempty"`
	LastFailure  string     `json:"lastFailure,omitempty"`
}

// State says how far an attachment's ADD came.
type State string

// The states of an attachment.
const (
	// Planned: its delegate may have run.
	Planned State = "planned"
	// Attached: its delegate ran, and its result is recorded.
	Attached State = "attached"
)

// Find is the attachment of that device.
func (r Record) Find(device string) (Entry, bool) {
	for _, e := range r.Attachments {
		if e.Device == device {
			return e, true
		}
	}
	return Entry{}, false
}

func decode(data []byte, containerID string) (Record, error) {
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return Record{}, err
	}
	if head.Format != Format {
		return Record{}, fmt.Errorf("it has the format %d, where this version of kactus reads %d", head.Format, Format)
	}
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return Record{}, err
	}
	if r.ContainerID != containerID {
		return Record{}, fmt.Errorf("it is of the container %.64q", r.ContainerID)
	}
	return r, nil
}
