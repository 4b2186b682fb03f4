package metaplugin

import (
	"context"
	"errors"
	"fmt"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

// Reclaim tears down what the ledger holds, orphans included, of every container whose record is
// stale. stale is called again once the container's lock is held, and so must be safe to call from
// several goroutines. A container that another operation has locked is left alone. Every attachment
// is tried; the error joins those of the attachments that stay in the ledger.
func (p *Plugin) Reclaim(ctx context.Context, stale func(ledger.Record) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, reclaimTimeout,
		fmt.Errorf("the limit of reclaiming attachments is %s", reclaimTimeout))
	defer cancel()
	containers, err := p.staleContainers(stale)
	if err != nil {
		return storeError(err)
	}
	failed := make([]error, len(containers))
	inParallel(parallelContainers, len(containers), func(i int) {
		if ctx.Err() != nil {
			failed[i] = fmt.Errorf("container %s: not started: %w", containers[i], context.Cause(ctx))
			return
		}
		_, failed[i] = p.reclaimContainer(ctx, containers[i], stale)
	})
	return errors.Join(failed...)
}

// staleContainers returns the containers whose record is stale.
func (p *Plugin) staleContainers(stale func(ledger.Record) bool) ([]string, error) {
	var containers []string
	for r, err := range p.Store.Records() {
		var corrupt ledger.CorruptRecord
		switch {
		case errors.As(err, &corrupt):
			p.Log.Warn("the attachments of a container are unknown, and cannot be reclaimed", "cause", corrupt)
		case err != nil:
			return nil, err
		case r.Netns.IsZero(): // whether the predecessor's container is gone cannot be told
		case stale(r):
			containers = append(containers, r.ContainerID)
		}
	}
	return containers, nil
}

// reclaimContainer reports whether it tried to tear down all of the container's attachments.
func (p *Plugin) reclaimContainer(
	ctx context.Context, containerID string, stale func(ledger.Record) bool,
) (bool, error) {
	const doNotWait = 0
	locked, err := p.lock(ctx, containerID, doNotWait)
	if errors.Is(err, ledger.ErrBusy) {
		p.Log.Warn("a container is left alone: another operation on it is running", "containerID", containerID)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer locked.Close()
	record := locked.Record()
	if !stale(record) {
		return false, nil
	}
	t := teardown{
		containerID:      containerID,
		netns:            p.usableNetns("", record),
		attachments:      record.Attachments,
		defaultIfName:    record.IfName,
		auxiliaryTimeout: delAuxiliaryTimeout,
		timeout:          delTimeout,
		givenUp:          true,
	}
	delegates := p.Delegates(locked.LockFile())
	failed := p.tearDown(ctx, locked, delegates, t)
	t.attachments = orphansToReclaim(locked.Record())
	if failed = errors.Join(failed, p.tearDown(ctx, locked, delegates, t)); failed != nil {
		return true, fmt.Errorf("container %s: %w", containerID, failed)
	}
	p.Log.Info("a container was reclaimed",
		"containerID", containerID, "pod", record.Pod.Namespace+"/"+record.Pod.Name)
	return true, nil
}

// orphansToReclaim returns the orphans whose interface was not attached again since.
func orphansToReclaim(r ledger.Record) []ledger.Attachment {
	var orphans []ledger.Attachment
	for _, a := range r.Orphans {
		if _, again := r.Find(a.IfName); !again {
			orphans = append(orphans, a)
		}
	}
	return orphans
}
