package meta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/containernetworking/cni/pkg/types"
	"golang.org/x/sync/errgroup"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/delegate"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
)

// attach makes the attachments, the first before the others, and gives the first one's result in the version that the runtime
// speaks. The plan is on the disk before anything is made; when anything fails, all that was started is undone.
func (v *Verbs) attach(ctx context.Context, book Book, req Request, netns ledger.Netns, attachments []plan.Attachment) (types.Result, error) {
	w := &work{verbs: v, book: book, req: req, delegates: v.Delegates(book.LockFile()), unrun: map[string]bool{}, results: map[string]json.RawMessage{}}
	for _, a := range attachments {
		if err := w.delegates.Find(a.Config); err != nil {
			return nil, coded(CodeDelegate, fmt.Errorf("ADD of the network %s for %s: %w", a.Network, a.Device, err))
		}
		w.entries = append(w.entries, ledger.Entry{
			Attachment: a,
			State:      ledger.Planned,
			Args:       req.Args.Pod.CNIArgs(a.MAC),
			Created:    v.Now().UTC(),
		})
	}
	if err := book.Plan(ctx, netns, req.Args.Pod, req.defaultDevice(), w.entries); err != nil {
		return nil, ledgerError(err)
	}
	result, err := w.run(ctx)
	if err != nil {
		return nil, w.rollBack(ctx, err)
	}
	return result, nil
}

// work is one ADD under way.
type work struct {
	verbs     *Verbs
	book      Book
	req       Request
	delegates Delegates
	entries   []ledger.Entry

	mu      sync.Mutex
	started []ledger.Entry
	// unrun are the devices whose ADD ended at a plugin that could not be run.
	unrun   map[string]bool
	results map[string]json.RawMessage
}

func (w *work) run(ctx context.Context) (types.Result, error) {
	first, err := w.add(ctx, w.entries[0])
	if err != nil {
		return nil, err
	}
	// A failure does not end the others: a plugin that is killed can leave what its DEL does not know of.
	var group errgroup.Group
	group.SetLimit(w.verbs.Parallel)
	for _, e := range w.entries[1:] {
		group.Go(func() error {
			_, err := w.add(ctx, e)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	result, err := first.GetAsVersion(w.req.Conf.CNIVersion)
	if err != nil {
		return nil, coded(types.ErrIncompatibleCNIVersion, fmt.Errorf("convert the result of the network %s: %w", w.entries[0].Network, err))
	}
	if err := w.book.Attached(w.results); err != nil {
		return nil, ledgerError(err)
	}
	return result, nil
}

// add makes one attachment.
func (w *work) add(ctx context.Context, e ledger.Entry) (types.Result, error) {
	if ctx.Err() != nil {
		return nil, coded(types.ErrTryAgainLater, fmt.Errorf("ADD of the network %s for %s: not begun: %w", e.Network, e.Device, context.Cause(ctx)))
	}
	w.mu.Lock()
	w.started = append(w.started, e)
	w.mu.Unlock()
	begin := w.verbs.Now()
	result, err := w.delegates.Add(ctx, call(w.req.ContainerID, w.req.Netns, e))
	w.verbs.Log.Debug("delegate ran", "delegateVerb", "ADD", "network", e.Network, "device", e.Device, "took", w.verbs.Now().Sub(begin), "failed", err != nil)
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.unrun[e.Device] = errors.Is(err, delegate.ErrMissing)
		return nil, fmt.Errorf("network %s: %w", e.Network, err)
	}
	if err := w.keep(e, result); err != nil { // for the roll-back, should the next step fail
		return nil, err
	}
	if result, err = w.verbs.fulfil(w.req.Netns, e, result); err != nil {
		return nil, coded(CodeUnfulfilled, fmt.Errorf("network %s: %w", e.Network, err))
	}
	return result, w.keep(e, result)
}

func (w *work) keep(e ledger.Entry, result types.Result) error {
	data, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("network %s: its result: %w", e.Network, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.results[e.Device] = data
	return nil
}

// rollBack undoes what was started, forgets what was not, and returns cause with what could not be undone. It goes on when ctx has ended: kactus was
// told to end, but not to leave things behind.
func (w *work) rollBack(ctx context.Context, cause error) error {
	w.verbs.Log.Error("rolling back", "cause", cause)
	ctx = context.WithoutCancel(ctx)
	for _, e := range w.entries {
		if !contains(w.started, e.Device) {
			w.verbs.warnUnsaved(w.book.Undone(e.Device))
		}
	}
	// Some plugins undo nothing where a DEL does not bring the result of the ADD.
	w.verbs.warnUnsaved(w.book.Attached(w.results))
	for i, e := range w.started {
		w.started[i].Result = w.results[e.Device]
	}
	undone := w.verbs.undo(ctx, w.book, w.delegates, undoing{
		containerID:   w.req.ContainerID,
		netns:         w.req.Netns,
		entries:       w.started,
		defaultDevice: w.entries[0].Device,
		unrun:         w.unrun,
		auxiliaryTime: undoTime / 2,
		time:          undoTime,
	})
	return withLeft(cause, undone)
}

func contains(entries []ledger.Entry, device string) bool {
	for _, e := range entries {
		if e.Device == device {
			return true
		}
	}
	return false
}
