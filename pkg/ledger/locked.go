package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

// LockedRecord is a container's record that this process may change. Its methods may be called from
// several goroutines, except for Quarantine and Close.
type LockedRecord struct {
	ledger  Ledger
	id      string
	lock    *containerLock
	corrupt error
	// predecessor means that the record was read from the predecessor's file.
	predecessor bool
	// adopted are the files of Multus that attachments were read from.
	adopted []string

	mu     sync.Mutex
	record Record
	// unsaved is why the file does not hold the record; nil where it does.
	unsaved error
}

// Lock waits until no other operation on the container is running, and reads its record. It fails
// with ErrBusy if ctx ends first. A record that is corrupt is not an error here: see Corrupt.
func (l Ledger) Lock(ctx context.Context, containerID string) (*LockedRecord, error) {
	lock, err := l.lockContainer(ctx, containerID)
	if err != nil {
		return nil, fmt.Errorf("lock the container %s in the ledger: %w", containerID, err)
	}
	r := &LockedRecord{ledger: l, id: containerID, lock: lock}
	_ = l.markUnsettled(containerID) // without the mark, leftovers are found later
	if err := r.read(); err != nil {
		r.unsaved = err
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *LockedRecord) path(suffix string) string { return filepath.Join(r.ledger.dir, r.id+suffix) }

func (r *LockedRecord) read() error {
	record, err := r.ledger.readOwn(r.id)
	if errors.Is(err, fs.ErrNotExist) {
		record, err = readPredecessor(r.ledger.dir, r.id)
		r.predecessor = !errors.Is(err, fs.ErrNotExist)
	}
	switch {
	case err == nil:
		r.record = record
	case errors.Is(err, fs.ErrNotExist):
		r.record.ContainerID = r.id
	case transient(err):
		return fmt.Errorf("read the record of the container %s: %w", r.id, err)
	default:
		r.corrupt = fmt.Errorf("the record of the container %s in the ledger is corrupt: %w", r.id, err)
	}
	return nil
}

// transient reports whether the system failed to read the file, for a reason that may pass, such as
// an error of the disk or a lack of descriptors: what the file holds is not to blame. A symbolic
// link in its place does not pass.
func transient(err error) bool {
	var errno unix.Errno
	return errors.As(err, &errno) && errno != unix.ELOOP
}

// Corrupt returns why the container's file cannot be read as a record; nil if it can, or if there
// is none. The container may have attachments then, although Record is empty, and nothing can be
// planned.
func (r *LockedRecord) Corrupt() error { return r.corrupt }

// Quarantine moves a corrupt file aside, for someone to look at, and returns its new path. Nothing
// is known of the container from then on. If the file cannot be moved, Unsaved reports that too.
func (r *LockedRecord) Quarantine() (string, error) {
	from := r.path(".json")
	if r.predecessor {
		from = r.path("")
	}
	path := r.path(".json." + time.Now().UTC().Format("20060102T150405.000000000") + ".corrupt")
	if err := os.Rename(from, path); err != nil {
		r.unsaved = fmt.Errorf("quarantine the corrupt record: %w", err)
		return "", r.unsaved
	}
	r.corrupt, r.unsaved, r.record.ContainerID, r.predecessor = nil, nil, r.id, false
	return path, nil
}

// LockFile returns the file that a child process must inherit to keep the container locked if
// kactus dies before it.
func (r *LockedRecord) LockFile() *os.File { return r.lock.file }

// Close releases the lock.
func (r *LockedRecord) Close() {
	_ = os.Remove(r.path(".tmp")) // left by an operation that was killed while writing
	if r.corrupt == nil && r.unsaved == nil && r.record.IsSettled() {
		r.ledger.markSettled(r.id)
	}
	r.lock.release()
}

// Record returns a copy of the container's record. Its lists are empty where the ledger knows
// nothing of the container.
func (r *LockedRecord) Record() Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	record := r.record
	record.Attachments = slices.Clone(record.Attachments)
	record.Orphans = slices.Clone(record.Orphans)
	return record
}

// WritePlanned adds attachments to the record, durably: when it returns, a loss of power does not
// make the node forget them. Nothing of them may be made before. Namespace, Pod and ifName, the
// interface of the Pod's default network, are recorded if the record has no attachment yet; a hot
// ADD passes an empty ifName.
//
// WritePlanned waits while the ledger is locked by LockExclusive, and fails with ErrBusy if ctx
// ends first. After a failure the record is what it was before.
func (r *LockedRecord) WritePlanned(
	ctx context.Context, ns netns.ID, pod podargs.Pod, ifName string, attachments []Attachment,
) error {
	if err := r.writePlanned(ctx, ns, pod, ifName, attachments); err != nil {
		return fmt.Errorf("write the plan for the container %s to the ledger: %w", r.id, err)
	}
	return nil
}

func (r *LockedRecord) writePlanned(
	ctx context.Context, ns netns.ID, pod podargs.Pod, ifName string, attachments []Attachment,
) error {
	if r.corrupt != nil {
		return r.corrupt
	}
	dir, err := lockDirectory(ctx, r.ledger.dir, unix.LOCK_SH)
	if err != nil {
		return fmt.Errorf("lock the ledger: %w", err)
	}
	defer dir.Close()
	if info, err := os.Stat(r.path(".json")); err == nil && info.Size() > maxPlanned {
		return fmt.Errorf("the record has %d bytes already, limit is %d", info.Size(), maxPlanned)
	}
	before := r.Record()
	err = r.change(func(record *Record) {
		if len(record.Attachments) == 0 { // a hot ADD knows less of the Pod than its ADD did
			record.Netns, record.Pod, record.IfName = ns, pod, ifName
		}
		if record.Netns.IsZero() { // the predecessor did not record it
			record.Netns = ns
		}
		record.Attachments = append(record.Attachments, attachments...)
	})
	if err == nil {
		err = dir.Sync()
	}
	if err != nil {
		_ = r.change(func(record *Record) { *record = before })
	}
	return err
}

// MarkAttached records the results of attachments that were made, by interface name.
func (r *LockedRecord) MarkAttached(results map[string]json.RawMessage) error {
	err := r.change(func(record *Record) {
		for i, a := range record.Attachments {
			if result, ok := results[a.IfName]; ok {
				record.Attachments[i].State, record.Attachments[i].Result = Attached, result
			}
		}
	})
	if err != nil {
		return fmt.Errorf("write the results for the container %s to the ledger: %w", r.id, err)
	}
	return nil
}

// Remove removes the attachment with that interface name, which was torn down, or, where the record
// has only orphans of that name, those.
func (r *LockedRecord) Remove(ifName string) error {
	err := r.change(func(record *Record) {
		list := record.listWith(ifName)
		*list = slices.DeleteFunc(*list, func(a Attachment) bool { return a.IfName == ifName })
	})
	if err != nil {
		return fmt.Errorf("remove %s of the container %s from the ledger: %w", ifName, r.id, err)
	}
	return nil
}

// MarkFailed records that a DEL of what Remove would remove failed, though the DELs of the plugins
// at the positions of tornDown have succeeded.
func (r *LockedRecord) MarkFailed(ifName string, now time.Time, cause error, tornDown []int) error {
	err := r.change(func(record *Record) {
		list := *record.listWith(ifName)
		for i, a := range list {
			if a.IfName == ifName {
				list[i] = a.failed(now, cause, tornDown)
			}
		}
	})
	if err != nil {
		return fmt.Errorf("write the failure of %s of the container %s to the ledger: %w", ifName, r.id, err)
	}
	return nil
}

// Orphan moves the attachment with that interface name to the orphans.
func (r *LockedRecord) Orphan(ifName string, now time.Time, cause error, tornDown []int) error {
	err := r.change(func(record *Record) {
		if a, ok := record.Find(ifName); ok {
			record.Orphans = append(record.Orphans, a.failed(now, cause, tornDown))
		}
		record.Attachments = slices.DeleteFunc(record.Attachments, func(a Attachment) bool {
			return a.IfName == ifName
		})
	})
	if err != nil {
		return fmt.Errorf("move %s of the container %s to the ledger's orphans: %w", ifName, r.id, err)
	}
	return nil
}

// Unsaved returns why the last change did not reach the disk; nil if it did.
func (r *LockedRecord) Unsaved() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.unsaved != nil {
		return fmt.Errorf("write the record of the container %s to the ledger: %w", r.id, r.unsaved)
	}
	return nil
}

// change edits the record and writes it. If writing fails, the record in memory remains as edited:
// the next change may bring it to the disk, and the last one, which removes the file, succeeds on a
// disk that is full.
func (r *LockedRecord) change(edit func(*Record)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.record.Attachments = slices.Clone(r.record.Attachments)
	r.record.Orphans = slices.Clone(r.record.Orphans)
	edit(&r.record)
	r.unsaved = r.save()
	return r.unsaved
}

func (r *LockedRecord) save() error {
	if r.corrupt != nil { // the file must not be replaced or removed before Quarantine moved it
		return r.corrupt
	}
	if err := r.saveOwn(); err != nil {
		return err
	}
	if err := r.removePredecessor(); err != nil {
		return err
	}
	return r.removeAdopted()
}

func (r *LockedRecord) saveOwn() error {
	if len(r.record.Attachments)+len(r.record.Orphans) == 0 {
		if err := os.Remove(r.path(".json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	data, err := encode(r.record)
	if err != nil {
		return err
	}
	return replaceFile(r.path(".json"), r.path(".tmp"), data)
}
