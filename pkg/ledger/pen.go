package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

// pen is the record in memory, which is what the file holds.
type pen struct {
	mu     sync.Mutex
	record Record
	// unsaved is why the file does not hold the record; nil where it does.
	unsaved error
}

// Record is the container's; its Attachments are empty where the ledger knows nothing of it.
func (b *Book) Record() Record {
	b.pen.mu.Lock()
	defer b.pen.mu.Unlock()
	r := b.pen.record
	r.Attachments = slices.Clone(r.Attachments)
	r.Orphans = slices.Clone(r.Orphans)
	return r
}

// Plan adds entries to the record, durably: when it returns, a loss of power does not make the node forget them. Nothing of
// what they say may be made before. What is said of the Pod counts where the record knows no attachment yet; device is its
// default network's, empty for a hot ADD. It waits while the ledger is frozen, and fails with ErrBusy when ctx ends before it no longer is.
func (b *Book) Plan(ctx context.Context, netns Netns, pod podargs.Pod, device string, entries []Entry) error {
	if b.ill != nil {
		return fmt.Errorf("plan for the container %s: the ledger cannot be written: %w", b.id, b.ill)
	}
	if b.unread != nil {
		return fmt.Errorf("plan for the container %s: %w", b.id, b.unread)
	}
	dir, err := lockDir(ctx, b.dir, unix.LOCK_SH)
	if err != nil {
		return fmt.Errorf("plan for the container %s: lock the ledger: %w", b.id, err)
	}
	defer dir.Close()
	before := b.Record()
	if info, err := os.Stat(b.path(".json")); err == nil && info.Size() > maxPlanned {
		return fmt.Errorf("plan for the container %s: its record in the ledger has %d bytes, and one of more than %d does not grow", b.id, info.Size(), maxPlanned)
	}
	err = b.change(func(r *Record) {
		r.Format, r.ContainerID = Format, b.id
		if len(r.Attachments) == 0 { // a hot ADD knows less of the Pod than its ADD did
			r.Netns, r.Pod, r.Device = netns, pod, device
		}
		r.Attachments = append(r.Attachments, entries...)
	})
	if err == nil {
		err = dir.Sync()
	}
	if err != nil {
		_ = b.change(func(r *Record) { *r = before })
		return fmt.Errorf("write the plan for the container %s to the ledger: %w", b.id, err)
	}
	return nil
}

// Attached records the results of attachments that were made, by their devices.
func (b *Book) Attached(results map[string]json.RawMessage) error {
	err := b.change(func(r *Record) {
		for i, e := range r.Attachments {
			if result, ok := results[e.Device]; ok {
				r.Attachments[i].State, r.Attachments[i].Result = Attached, result
			}
		}
	})
	if err != nil {
		return fmt.Errorf("write the results for the container %s to the ledger: %w", b.id, err)
	}
	return nil
}

// Undone removes the attachment of that device, which is no more; or, where the record has only orphans of it, those.
func (b *Book) Undone(device string) error {
	err := b.change(func(r *Record) {
		list := r.holding(device)
		*list = slices.DeleteFunc(*list, func(e Entry) bool { return e.Device == device })
	})
	if err != nil {
		return fmt.Errorf("remove %s of the container %s from the ledger: %w", device, b.id, err)
	}
	return nil
}

// Failed records that what Undone would have removed could not be undone at the time now.
func (b *Book) Failed(device string, now time.Time, cause error) error {
	err := b.change(func(r *Record) {
		list := *r.holding(device)
		for i, e := range list {
			if e.Device == device {
				list[i] = e.failed(now, cause)
			}
		}
	})
	if err != nil {
		return fmt.Errorf("write the failure of %s of the container %s to the ledger: %w", device, b.id, err)
	}
	return nil
}

// Park moves an attachment to the orphans.
func (b *Book) Park(device string, now time.Time, cause error) error {
	err := b.change(func(r *Record) {
		for _, e := range r.Attachments {
			if e.Device == device {
				r.Orphans = append(r.Orphans, e.failed(now, cause))
			}
		}
		r.Attachments = slices.DeleteFunc(r.Attachments, func(e Entry) bool { return e.Device == device })
	})
	if err != nil {
		return fmt.Errorf("move %s of the container %s to the ledger's orphans: %w", device, b.id, err)
	}
	return nil
}

// holding is the list that has the device: the attachments, or else the orphans.
func (r *Record) holding(device string) *[]Entry {
	if _, ok := r.Find(device); ok {
		return &r.Attachments
	}
	return &r.Orphans
}

func (e Entry) failed(now time.Time, cause error) Entry {
	e.Failures++
	if e.FailingSince == nil {
		e.FailingSince = &now
	}
	const longest = 4 << 10
	e.LastFailure = cause.Error()
	e.LastFailure = e.LastFailure[:min(len(e.LastFailure), longest)]
	return e
}

// change edits the record, and writes it. Where the writing fails, the record in memory is still what edit made it: the next
// change may get it to the disk, and the last one, which removes the file, can succeed on a disk that is full. A record of
// nothing is no file.
func (b *Book) change(edit func(*Record)) error {
	b.pen.mu.Lock()
	defer b.pen.mu.Unlock()
	r := &b.pen.record
	r.Attachments, r.Orphans = slices.Clone(r.Attachments), slices.Clone(r.Orphans)
	edit(r)
	b.pen.unsaved = b.save(*r)
	return b.pen.unsaved
}

func (b *Book) save(r Record) error {
	if len(r.Attachments)+len(r.Orphans) > 0 {
		return b.write(r)
	}
	if err := os.Remove(b.path(".json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Unsaved is why the last change did not reach the disk; nil where it did.
func (b *Book) Unsaved() error {
	b.pen.mu.Lock()
	defer b.pen.mu.Unlock()
	if b.pen.unsaved != nil {
		return fmt.Errorf("write the record of the container %s to the ledger: %w", b.id, b.pen.unsaved)
	}
	return nil
}
