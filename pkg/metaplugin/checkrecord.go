package metaplugin

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

// checked is what a CHECK goes by.
type checked struct {
	record    ledger.Record
	delegates Delegates
	// changing is the interface that a hot operation is working on; empty if none is.
	changing string
	close    func()
}

// isHot reports whether the attachment is none that the ADD of the Pod made and that the Pod still
// needs: a hot ADD made it, or a hot DEL of it is running or failed. A DEL of the Pod that failed
// did not leave the default network whole.
func (c checked) isHot(a ledger.Attachment) bool {
	return a.Hot || a.IfName == c.changing || a.IfName != c.record.IfName && a.Failures > 0
}

// recordToCheck locks the container and returns its record. The CHECK of a Pod does not wait for a
// hot operation, which can take long and touches one network alone: it reads the record as it is.
func (p *Plugin) recordToCheck(ctx context.Context, req Request) (checked, error) {
	const pause = 50 * time.Millisecond
	end, wait, lock := time.Now().Add(lockTimeout), time.Duration(0), p.tryLock
	if req.Args.Hot != nil {
		wait, lock = lockTimeout, p.lock
	}
	for {
		locked, err := lock(ctx, req.ContainerID, wait)
		if err == nil {
			return checked{
				record: locked.Record(), delegates: p.Delegates(locked.LockFile()), close: locked.Close,
			}, nil
		}
		if !errors.Is(err, ledger.ErrBusy) || ctx.Err() != nil || time.Now().After(end) {
			return checked{}, err
		}
		if m, ok := p.Marks.get(hotMark, req.ContainerID); ok && req.Args.Hot == nil {
			record, err := p.readRecord(req.ContainerID)
			return checked{record: record, delegates: p.Delegates(nil), changing: m.text, close: func() {}}, err
		}
		wait = pause
	}
}

// readRecord reads the record without a lock. One that is missing is empty.
func (p *Plugin) readRecord(containerID string) (ledger.Record, error) {
	record, err := p.Store.ReadRecord(containerID)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ledger.Record{ContainerID: containerID}, nil
	case err != nil:
		return ledger.Record{}, corruptError(err)
	}
	return record, nil
}
