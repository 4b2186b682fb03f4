package metaplugin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/delegate"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

// teardown says what to tear down, and how.
type teardown struct {
	containerID, netns string
	attachments        []ledger.Attachment
	// defaultIfName is torn down after all others.
	defaultIfName string
	// neverRan holds the interfaces whose ADD ended at a plugin that could not be executed, and so
	// made nothing.
	neverRan map[string]bool
	// auxiliaryTimeout is the limit for all but the default network, timeout the limit for all.
	auxiliaryTimeout, timeout time.Duration
	// mayOrphan lets attachments become orphans, so that they do not hold the container any longer.
	mayOrphan bool
	// givenUp means that no later DEL of the container may come: each plugin of a chain is tried,
	// even though one fails.
	givenUp bool
}

// tearDown tries every attachment, the auxiliary ones in the reverse order of their ADDs and then
// the default network, and removes each from the record once its DEL has succeeded. The error joins
// those of the attachments that stay.
func (p *Plugin) tearDown(ctx context.Context, record LockedRecord, delegates Delegates, t teardown) error {
	ctx, cancel := context.WithTimeoutCause(ctx, t.timeout, fmt.Errorf("the limit of a tear-down is %s", t.timeout))
	defer cancel()
	auxiliaryCtx, cancelAuxiliary := context.WithTimeoutCause(ctx, t.auxiliaryTimeout,
		fmt.Errorf("the limit of tearing down the auxiliary networks is %s", t.auxiliaryTimeout))
	defer cancelAuxiliary()
	failed := make([]error, len(t.attachments))
	p.reversed(auxiliaryCtx, t.attachments, func(i int) {
		if a := t.attachments[i]; a.IfName != t.defaultIfName {
			failed[i] = p.tearDownOne(auxiliaryCtx, record, delegates, t, a)
		}
	})
	for i, a := range t.attachments {
		if a.IfName == t.defaultIfName {
			failed[i] = p.tearDownOne(ctx, record, delegates, t, a)
		}
	}
	return errors.Join(append(failed, storeError(record.Unsaved()))...)
}

func (p *Plugin) tearDownOne(
	ctx context.Context, record LockedRecord, delegates Delegates, t teardown, a ledger.Attachment,
) error {
	start := p.Now()
	lastTry := t.mayOrphan && isLastTry(a, start)
	each := lastTry || t.givenUp || t.neverRan[a.IfName]
	tornDown, err := p.undo(ctx, delegates, t, a, each)
	p.logDelegate("DEL", a, start, err)
	if err == nil || t.neverRan[a.IfName] && onlyMissing(err) {
		err = p.removeDeviceInfo(t.containerID, a)
	}
	if err == nil {
		p.warnUnsaved(record.Remove(a.IfName))
		return nil
	}
	err = fmt.Errorf("network %s: %w", a.Network, err)
	if lastTry {
		p.Log.Warn("an attachment becomes an orphan", "network", a.Network, "interface", a.IfName, "cause", err)
		p.warnUnsaved(record.Orphan(a.IfName, p.Now(), err, tornDown))
		return nil
	}
	p.warnUnsaved(record.MarkFailed(a.IfName, p.Now(), err, tornDown))
	return err
}

// undo puts back what kactus changed, and runs the delegate's DEL. It stops at the first failure,
// unless each is to be tried: then what kactus cannot put back is not an error, because the
// interface may be gone afterwards.
func (p *Plugin) undo(
	ctx context.Context, delegates Delegates, t teardown, a ledger.Attachment, each bool,
) (tornDown []int, err error) {
	del := delegates.Del
	if each {
		del = delegates.DelEach
	}
	err = errors.Join(p.putBackRoutes(t.netns, a), p.putBackMAC(t.netns, a))
	switch {
	case err != nil && !each:
		return a.TornDown, err
	case err != nil:
		p.Log.Warn("what kactus changed is not put back", "network", a.Network, "interface", a.IfName,
			"mac", a.MAC, "previous", a.PreviousMAC, "cause", err)
	}
	return del(ctx, call(t.containerID, t.netns, a))
}

// isLastTry reports whether the attachment becomes an orphan if its next DEL fails: the container
// must not wait forever for a plugin that always fails.
func isLastTry(a ledger.Attachment, now time.Time) bool {
	return a.Failures+1 >= orphanAfterFailures && a.FailingSince != nil && now.Sub(*a.FailingSince) >= orphanAfter
}

// onlyMissing reports whether every plugin that failed is one whose binary is missing.
func onlyMissing(err error) bool {
	for _, e := range delegateErrors(err) {
		if !errors.Is(e, delegate.ErrMissing) {
			return false
		}
	}
	return true
}

// tearDownHot tears down one auxiliary attachment of a running Pod.
func (p *Plugin) tearDownHot(ctx context.Context, record LockedRecord, req Request, a ledger.Attachment) error {
	return p.tearDown(ctx, record, p.Delegates(record.LockFile()), teardown{
		containerID:      req.ContainerID,
		netns:            p.usableNetns(req.Netns, record.Record()),
		attachments:      []ledger.Attachment{a},
		auxiliaryTimeout: delAuxiliaryTimeout,
		timeout:          delTimeout,
	})
}

func (p *Plugin) logDelegate(operation string, a ledger.Attachment, start time.Time, err error) {
	p.Log.Debug("delegate ran", "delegateOperation", operation, "network", a.Network, "interface", a.IfName,
		"took", p.Now().Sub(start), "failed", err != nil)
}

// warnUnsaved logs a change that did not reach the disk. A later change may bring it there; whoever
// makes the last one checks Unsaved.
func (p *Plugin) warnUnsaved(err error) {
	if err != nil {
		p.Log.Warn("the ledger was not written", "cause", err)
	}
}
