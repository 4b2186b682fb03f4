package meta

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/delegate"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
)

// An attachment whose DEL has failed so often, for so long, is parked among the orphans: the Pod can go.
const (
	parkAfterFailures = 3
	parkAfter         = 5 * time.Minute
)

// Del runs DEL (CNI specification, section 2): of a whole Pod, or, where the request is for a hot network, of that
// one alone. It asks the apiserver nothing. The error is a *types.Error.
func (v *Verbs) Del(ctx context.Context, req Request) error {
	ctx, cancel := context.WithTimeoutCause(ctx, delTime, fmt.Errorf("a DEL may take %s", delTime))
	defer cancel()
	var err error
	if req.Args.Hot != nil {
		err = v.delHot(ctx, req)
	} else {
		err = v.delPod(ctx, req)
	}
	if err != nil {
		return asCNIOfDel(err)
	}
	return nil
}

func (v *Verbs) delPod(ctx context.Context, req Request) error {
	begin := time.Now()
	book, _, err := v.lockToUndo(ctx, req.ContainerID)
	if err != nil {
		return err
	}
	defer book.Close()
	record := book.Record()
	if _, known := record.Find(req.Device); record.Device != req.Device && (known || record.Device != "" && len(record.Attachments) > 0) {
		return v.delOther(req, record)
	}
	netns := v.usableNetns(req.Netns, record)
	delegates := v.Delegates(book.LockFile())
	failed := v.undo(ctx, book, delegates, undoing{
		containerID:   req.ContainerID,
		netns:         netns,
		entries:       record.Attachments,
		defaultDevice: req.Device,
		auxiliaryTime: max(delAuxiliaryTime-time.Since(begin), time.Second),
		time:          max(delTime-time.Since(begin), time.Second),
		park:          true,
	})
	if _, known := record.Find(req.Device); !known {
		v.delUnknown(ctx, delegates, req, netns, record)
	}
	return failed
}

// lockToUndo takes the container's lock. A record that does not read is set aside: it keeps no Pod from going. The second result is why it
// did not read.
func (v *Verbs) lockToUndo(ctx context.Context, containerID string) (Book, error, error) {
	book, err := v.lockAny(ctx, containerID, lockTime)
	if err != nil {
		return nil, nil, err
	}
	unread := book.Unread()
	if unread != nil {
		aside, err := book.SetAside()
		v.Log.Warn("a record was set aside: addresses of networks that it knew of may be left", "cause", unread, "as", aside, "failed", err)
	}
	return book, unread, nil
}

// delOther is for a DEL that names no default network of the container, whose attachments it must not undo: a hot network without its
// K8S_POD_NETWORK, or what was never made here.
func (v *Verbs) delOther(req Request, record ledger.Record) error {
	if e, ok := record.Find(req.Device); ok {
		return coded(types.ErrInvalidEnvironmentVariables, fmt.Errorf(
			"DEL of the container %s: CNI_IFNAME is %s, the device of the network %s, and not the default network's: a hot DEL names the network in CNI_ARGS (K8S_POD_NETWORK)",
			req.ContainerID, req.Device, e.Network))
	}
	v.Log.Info("nothing to undo: the container has no such device", "device", req.Device, "default", record.Device)
	return nil
}

// delUnknown runs DEL of the netconf's own delegates, for a container of which the ledger does not know a default network: there was none, or
// the ledger was lost. What fails there cannot be tried again from the ledger, and must not hold the Pod.
func (v *Verbs) delUnknown(ctx context.Context, delegates Delegates, req Request, netns string, record ledger.Record) {
	for _, a := range plan.Default(req.Conf, req.Device) {
		if _, known := record.Find(a.Device); known {
			continue
		}
		e := ledger.Entry{Attachment: a, Args: req.Args.Pod.CNIArgs("")}
		if err := delegates.Del(ctx, call(req.ContainerID, netns, e)); err != nil {
			v.Log.Warn("the ledger does not know the container, and a delegate of the netconf could not undo it", "network", a.Network, "cause", err)
		}
	}
}

// usableNetns is the network namespace that delegates are to look for devices in: the one that the runtime names, or, where it names none, the
// recorded one; but empty where that is not the one that the attachments were made in, be it gone or another by now. An empty one means that
// the devices went with it, and makes a delegate undo what is elsewhere: addresses, ports.
func (v *Verbs) usableNetns(path string, record ledger.Record) string {
	recorded := len(record.Attachments)+len(record.Orphans) > 0
	if path == "" && recorded {
		path = record.Netns.Path
	}
	if path == "" {
		return ""
	}
	netns, err := ledger.Identify(path)
	switch {
	case err != nil:
		v.Log.Info("the network namespace is gone", "cause", err)
		return ""
	case recorded && !netns.Same(record.Netns):
		v.Log.Warn("the network namespace is another by now, and is left alone", "netns", path)
		return ""
	}
	return path
}

// undoOne undoes one auxiliary attachment of a running Pod.
func (v *Verbs) undoOne(ctx context.Context, book Book, req Request, e ledger.Entry) error {
	return v.undo(ctx, book, v.Delegates(book.LockFile()), undoing{
		containerID:   req.ContainerID,
		netns:         v.usableNetns(req.Netns, book.Record()),
		entries:       []ledger.Entry{e},
		auxiliaryTime: delAuxiliaryTime,
		time:          delTime,
	})
}

// undoing is what undo is to undo.
type undoing struct {
	containerID, netns string
	entries            []ledger.Entry
	// defaultDevice is undone after all others.
	defaultDevice string
	// unrun are devices whose ADD ended at a plugin that could not be run, so that there is nothing that it would have to undo.
	unrun map[string]bool
	// auxiliaryTime is how long the others may take, and time how long all may.
	auxiliaryTime, time time.Duration
	// park moves to the orphans what is not to hold the container any longer.
	park bool
}

// undo tries every attachment, the auxiliary ones in parallel, and removes each from the ledger as it is undone. The error joins those
// of the ones that stay.
func (v *Verbs) undo(ctx context.Context, book Book, delegates Delegates, u undoing) error {
	ctx, cancel := context.WithTimeoutCause(ctx, u.time, fmt.Errorf("undoing may take %s", u.time))
	defer cancel()
	auxiliaryCtx, cancelAuxiliary := context.WithTimeoutCause(ctx, u.auxiliaryTime, fmt.Errorf("undoing auxiliary networks may take %s", u.auxiliaryTime))
	defer cancelAuxiliary()
	failed := make([]error, len(u.entries))
	inParallel(v.Parallel, len(u.entries), func(i int) {
		if e := u.entries[i]; e.Device != u.defaultDevice {
			failed[i] = v.undoEntry(auxiliaryCtx, book, delegates, u, e)
		}
	})
	for i, e := range u.entries {
		if e.Device == u.defaultDevice {
			failed[i] = v.undoEntry(ctx, book, delegates, u, e)
		}
	}
	return errors.Join(append(failed, ledgerError(book.Unsaved()))...)
}

func (v *Verbs) undoEntry(ctx context.Context, book Book, delegates Delegates, u undoing, e ledger.Entry) error {
	begin := v.Now()
	err := delegates.Del(ctx, call(u.containerID, u.netns, e))
	v.Log.Debug("delegate ran", "delegateVerb", "DEL", "network", e.Network, "device", e.Device, "took", v.Now().Sub(begin), "failed", err != nil)
	if err == nil || u.unrun[e.Device] && errors.Is(err, delegate.ErrMissing) {
		v.warnUnsaved(book.Undone(e.Device))
		return nil
	}
	err = fmt.Errorf("network %s: %w", e.Network, err)
	if u.park && hopeless(err, e, v.Now()) {
		v.Log.Warn("an attachment is given up and becomes an orphan", "network", e.Network, "device", e.Device, "cause", err)
		v.warnUnsaved(book.Park(e.Device, v.Now(), err))
		return nil
	}
	v.warnUnsaved(book.Failed(e.Device, v.Now(), err))
	return err
}

// warnUnsaved tells of a change that did not reach the disk. A later one may take it there; whoever makes the last one looks.
func (v *Verbs) warnUnsaved(err error) {
	if err != nil {
		v.Log.Warn("the ledger was not written", "cause", err)
	}
}

// hopeless: a plugin that is gone does not come back by waiting, and the container must not wait for ever for one that always fails.
func hopeless(err error, e ledger.Entry, now time.Time) bool {
	return errors.Is(err, delegate.ErrMissing) ||
		e.Failures+1 >= parkAfterFailures && e.FailingSince != nil && now.Sub(*e.FailingSince) >= parkAfter
}
