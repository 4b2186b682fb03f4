package metaplugin

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/delegate"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

// lock waits for the container's lock. A corrupt record is an error: the container may have
// attachments that nobody knows of.
func (p *Plugin) lock(ctx context.Context, containerID string, wait time.Duration) (LockedRecord, error) {
	record, err := p.lockAny(ctx, containerID, wait, addTimeout)
	if err != nil {
		return nil, err
	}
	return usable(record)
}

// tryLock is lock for those who try again and again: it leaves what a killed kactus left running
// alone.
func (p *Plugin) tryLock(ctx context.Context, containerID string, wait time.Duration) (LockedRecord, error) {
	record, err := p.lockWithin(ctx, containerID, wait)
	if err != nil {
		return nil, storeError(err)
	}
	return usable(record)
}

// usable returns the record, or closes it and returns an error if it is corrupt.
func usable(record LockedRecord) (LockedRecord, error) {
	if err := record.Corrupt(); err != nil {
		record.Close()
		return nil, corruptError(err)
	}
	return record, nil
}

// lockForDel waits for the container's lock. After that, it ends what a killed kactus left running:
// runtimes may not repeat a DEL. A corrupt record does not keep a Pod from going: it is
// quarantined, and corrupt is why.
func (p *Plugin) lockForDel(ctx context.Context, containerID string) (_ LockedRecord, corrupt, err error) {
	record, err := p.lockAny(ctx, containerID, delLockTimeout, 0)
	if err != nil {
		return nil, nil, err
	}
	corrupt = record.Corrupt()
	if corrupt != nil {
		path, err := record.Quarantine()
		p.Log.Warn("a corrupt record is quarantined: addresses of its networks may be left",
			"cause", corrupt, "path", path, "failed", err)
	}
	return record, corrupt, nil
}

// lockAny locks as lock does, for those who can handle a corrupt record. When the wait is over,
// plugins of a killed kactus that have run for that long are ended.
func (p *Plugin) lockAny(
	ctx context.Context, containerID string, wait, endAfter time.Duration,
) (LockedRecord, error) {
	first := min(wait, abandonedAfter)
	record, err := p.lockWithin(ctx, containerID, first)
	if errors.Is(err, ledger.ErrBusy) && wait > first {
		p.freeAbandoned(containerID, addTimeout)
		record, err = p.lockWithin(ctx, containerID, wait-first)
	}
	if errors.Is(err, ledger.ErrBusy) && ctx.Err() == nil && p.freeAbandoned(containerID, endAfter) {
		record, err = p.lockWithin(ctx, containerID, abandonedAfter)
	}
	if err != nil {
		return nil, storeError(err)
	}
	return record, nil
}

func (p *Plugin) lockWithin(ctx context.Context, containerID string, wait time.Duration) (LockedRecord, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	record, err := p.Store.Lock(ctx, containerID)
	if err == nil {
		p.Marks.remove(hotMark, containerID) // left by a hot operation that was killed
	}
	return record, err
}

// freeAbandoned frees a container whose kactus was killed, and reports whether the lock may be free
// now. If all plugins that still run have done so for that long, it ends them: nobody else would,
// when their time is over. From daemons that they started, it takes the lock away.
func (p *Plugin) freeAbandoned(containerID string, endAfter time.Duration) bool {
	groups := map[int]bool{}
	for _, h := range p.Store.Holders(containerID) {
		switch {
		case h.Operation:
			return false
		case h.Daemon:
		case h.Age < endAfter:
			return false
		default:
			groups[h.Group] = true
		}
	}
	for group := range groups {
		p.Log.Warn("a plugin that a killed kactus left running is ended", "containerID", containerID, "group", group)
	}
	each := slices.Collect(maps.Keys(groups))
	inParallel(len(each), len(each), func(i int) { delegate.EndGroup(each[i]) })
	if err := p.Store.ReleaseFromDaemons(containerID); err != nil {
		p.Log.Warn("a daemon that a plugin of a killed kactus started keeps its container locked", "cause", err)
		return false
	}
	return true
}
