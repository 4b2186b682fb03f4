package meta

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

// Sweep undoes what the ledger holds, orphans too, of every container whose record is stale. That is asked again when the container's lock is had, so
// it must be safe to call from several goroutines. A container whose lock another verb has is left alone. Every attachment is tried; the
// error joins those of the ones that stay in the ledger.
func (v *Verbs) Sweep(ctx context.Context, stale func(ledger.Record) bool) error {
	_, err := v.sweep(ctx, stale)
	return err
}

// swept are the containers of which everything was tried.
type swept map[string]bool

func (v *Verbs) sweep(ctx context.Context, stale func(ledger.Record) bool) (swept, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, sweepTime, fmt.Errorf("undoing what is not valid may take %s", sweepTime))
	defer cancel()
	snapshot, err := v.Read()
	if err != nil {
		return nil, ledgerError(err)
	}
	for _, u := range snapshot.Unread {
		v.Log.Warn("what a container has is not known, and cannot be undone", "cause", u)
	}
	var mu sync.Mutex
	done := swept{}
	failed := make([]error, len(snapshot.Records))
	inParallel(parallelContainers, len(snapshot.Records), func(i int) {
		r := snapshot.Records[i]
		if !stale(r) {
			return
		}
		if ctx.Err() != nil {
			failed[i] = fmt.Errorf("container %s: not begun: %w", r.ContainerID, context.Cause(ctx))
			return
		}
		tried, err := v.sweepContainer(ctx, r.ContainerID, stale)
		failed[i] = err
		mu.Lock()
		defer mu.Unlock()
		done[r.ContainerID] = tried
	})
	return done, errors.Join(failed...)
}

// sweepContainer says whether it tried to undo the container.
func (v *Verbs) sweepContainer(ctx context.Context, containerID string, stale func(ledger.Record) bool) (bool, error) {
	const noWait = 0
	book, err := v.lock(ctx, containerID, noWait)
	if errors.Is(err, ledger.ErrBusy) {
		v.Log.Warn("a container is left alone: another verb works at it", "containerID", containerID)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer book.Close()
	record := book.Record()
	if !stale(record) {
		return false, nil
	}
	u := undoing{
		containerID:   containerID,
		netns:         v.usableNetns("", record),
		entries:       record.Attachments,
		defaultDevice: record.Device,
		auxiliaryTime: delAuxiliaryTime,
		time:          delTime,
	}
	delegates := v.Delegates(book.LockFile())
	failed := v.undo(ctx, book, delegates, u)
	// The devices of orphans may have been attached again since.
	u.entries = unattached(book.Record())
	if failed = errors.Join(failed, v.undo(ctx, book, delegates, u)); failed != nil {
		return true, fmt.Errorf("container %s: %w", containerID, failed)
	}
	v.Log.Info("a container was swept", "containerID", containerID, "pod", record.Pod.Namespace+"/"+record.Pod.Name)
	return true, nil
}

// unattached are the orphans whose device is not that of an attachment.
func unattached(r ledger.Record) []ledger.Entry {
	var orphans []ledger.Entry
	for _, e := range r.Orphans {
		if _, again := r.Find(e.Device); !again {
			orphans = append(orphans, e)
		}
	}
	return orphans
}
