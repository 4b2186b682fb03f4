package metaplugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/delegate"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
)

// batch is the attachments that one ADD makes.
type batch struct {
	plugin      *Plugin
	record      LockedRecord
	req         Request
	delegates   Delegates
	attachments []ledger.Attachment
	// prevResult is for the delegate of the default network.
	prevResult *cniconf.Result
	// holder is the attachment that has the Pod's default route after the ADD, because it asks for
	// it; a zero one if the default route stays where the delegates put it.
	holder ledger.Attachment

	mu      sync.Mutex
	started []ledger.Attachment
	// neverRan holds the interfaces whose ADD ended at a plugin that could not be executed.
	neverRan map[string]bool
	// results holds the results by interface, as they are recorded.
	results map[string]json.RawMessage
}

// attach makes the attachments, one group of the schedule after the other, and returns the first
// one's result in the version that the runtime speaks. The plan is on the disk before anything is
// made. If anything fails, all that was started is rolled back.
func (p *Plugin) attach(
	ctx context.Context, record LockedRecord, req Request, ns netns.ID, attachments []plan.Attachment,
) (json.RawMessage, error) {
	prevResult, err := req.prevResult()
	if err != nil {
		return nil, err
	}
	b := &batch{
		plugin:     p,
		record:     record,
		req:        req,
		delegates:  p.Delegates(record.LockFile()),
		prevResult: prevResult,
		neverRan:   map[string]bool{},
		results:    map[string]json.RawMessage{},
	}
	for _, a := range attachments {
		if err := b.delegates.Find(a.Config); err != nil {
			return nil, delegateError(fmt.Errorf("ADD of the network %s for %s: %w", a.Network, a.IfName, err))
		}
		b.attachments = append(b.attachments, ledger.Attachment{
			Attachment: p.withDeviceInfoFile(req.ContainerID, a),
			State:      ledger.Planned,
			Args:       req.Args.Pod.CNIArgs(a.MAC),
			Created:    p.Now().UTC(),
			Hot:        req.Args.Hot != nil,
		})
	}
	if err := p.checkFree(req.Netns, b.attachments); err != nil {
		return nil, err
	}
	if err := b.findRouteHolder(); err != nil {
		return nil, err
	}
	if err := record.WritePlanned(ctx, ns, req.Args.Pod, req.defaultIfName(), b.attachments); err != nil {
		return nil, storeError(err)
	}
	result, err := b.run(ctx)
	if err != nil {
		return nil, b.rollBack(ctx, err)
	}
	return result, nil
}

// checkFree reports an interface that is in the Pod already. What kactus attached is in the ledger,
// and was seen to before: this one is another program's, which a roll-back must not remove.
func (p *Plugin) checkFree(netnsPath string, attachments []ledger.Attachment) error {
	ns, err := p.OpenNetns(netnsPath)
	if err != nil {
		return netnsError(fmt.Errorf("CNI_NETNS: %w", err))
	}
	defer ns.Close()
	for _, a := range attachments {
		_, err := ns.MAC(a.IfName)
		switch {
		case err == nil:
			return attachedError(fmt.Errorf("ADD of the network %s for %s: the Pod has an interface of that name, "+
				"which is not in the ledger and is left alone", a.Network, a.IfName))
		case !errors.Is(err, netns.ErrNoInterface):
			return netnsError(fmt.Errorf("ADD of the network %s for %s: %w", a.Network, a.IfName, err))
		}
	}
	return nil
}

func (b *batch) run(ctx context.Context) (json.RawMessage, error) {
	results := make([]*cniconf.Result, len(b.attachments))
	for _, group := range b.plugin.schedule(b.attachments) {
		if err := b.addGroup(ctx, group, results); err != nil {
			return nil, err
		}
	}
	if err := b.takeDefaultRoute(); err != nil {
		return nil, err
	}
	first := b.attachments[0]
	printed, err := encodeForRuntime(b.req, first, routed(b.holder, first, results[0]))
	if err != nil {
		return nil, err
	}
	return printed, storeError(b.record.MarkAttached(b.results))
}

// addGroup makes the attachments of one group at once. A failure does not end the others of the
// group: a plugin that is killed can leave what its DEL does not know of.
func (b *batch) addGroup(ctx context.Context, group []int, results []*cniconf.Result) error {
	var running errgroup.Group
	running.SetLimit(b.plugin.Parallel)
	for _, i := range group {
		running.Go(func() (err error) {
			results[i], err = b.add(ctx, b.attachments[i])
			return err
		})
	}
	return running.Wait()
}

// encodeForRuntime returns the result in the version that the runtime speaks.
func encodeForRuntime(req Request, a ledger.Attachment, result *cniconf.Result) (json.RawMessage, error) {
	printed, err := cniconf.EncodeResult(result, req.Conf.CNIVersion)
	if err != nil {
		return nil, versionError(fmt.Errorf("convert the result of the network %s: %w", a.Network, err))
	}
	return printed, nil
}

// add makes one attachment, and verifies it.
func (b *batch) add(ctx context.Context, a ledger.Attachment) (*cniconf.Result, error) {
	if ctx.Err() != nil {
		return nil, tryLaterError(fmt.Errorf("ADD of the network %s for %s: not started: %w",
			a.Network, a.IfName, context.Cause(ctx)))
	}
	b.mu.Lock()
	b.started = append(b.started, a)
	b.mu.Unlock()
	if err := b.plugin.writeDeviceInfo(b.req.ContainerID, a); err != nil {
		return nil, fmt.Errorf("network %s: %w", a.Network, err)
	}
	c := call(b.req.ContainerID, b.req.Netns, a)
	if a.IfName == b.req.defaultIfName() {
		c.PrevResult = b.prevResult
	}
	start := b.plugin.Now()
	result, err := b.delegates.Add(ctx, c)
	b.plugin.logDelegate("ADD", a, start, err)
	if err != nil {
		return nil, b.failed(a, result, err)
	}
	b.plugin.warnDefaultRoute(b.req, a, b.holder.WithoutDefaultRoutes(result))
	a.NoInterface = b.plugin.lacksInterface(b.req.Netns, a, result)
	verified := b.plugin.verify(b.record, b.req.Netns, a, result)
	if err := b.keep(a, result); err != nil {
		return nil, err
	}
	if verified != nil {
		return nil, fmt.Errorf("network %s: %w", a.Network, verified)
	}
	return result, nil
}

// failed prepares the roll-back of an attachment whose ADD failed: the result of the plugins of the
// chain that ran before the failure is for their DELs.
func (b *batch) failed(a ledger.Attachment, partial *cniconf.Result, cause error) error {
	b.mu.Lock()
	b.neverRan[a.IfName] = errors.Is(cause, delegate.ErrMissing)
	b.mu.Unlock()
	if partial != nil {
		if err := b.keep(a, partial); err != nil {
			return errors.Join(cause, err)
		}
	}
	return fmt.Errorf("network %s: %w", a.Network, cause)
}

// keep encodes the result for the disk. A roll-back needs it too.
func (b *batch) keep(a ledger.Attachment, result *cniconf.Result) error {
	if a.NoInterface {
		if err := b.record.MarkNoInterface(a.IfName); err != nil {
			return storeError(err)
		}
	}
	if info := b.plugin.readDeviceInfo(b.req.ContainerID, a); info != nil {
		if err := b.record.MarkDeviceInfo(a.IfName, info); err != nil {
			return storeError(err)
		}
	}
	data, err := cniconf.EncodeResult(result, a.Config.CNIVersion)
	if err != nil {
		return fmt.Errorf("network %s: encode the result: %w", a.Network, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.results[a.IfName] = data
	return nil
}

// rollBack tears down what was started, removes what was not from the record, and returns cause
// with what could not be torn down. It goes on after ctx has ended: whoever ends an ADD wants
// nothing left behind.
func (b *batch) rollBack(ctx context.Context, cause error) error {
	b.plugin.Log.Error("rolling back", "cause", cause)
	ctx = context.WithoutCancel(ctx)
	for _, a := range b.attachments {
		started := slices.ContainsFunc(b.started, func(s ledger.Attachment) bool { return s.IfName == a.IfName })
		if !started {
			b.plugin.warnUnsaved(b.record.Remove(a.IfName))
		}
	}
	// Some plugins tear down nothing if a DEL does not bring the result of the ADD.
	b.plugin.warnUnsaved(b.record.MarkAttached(b.results))
	record := b.record.Record()
	for i, a := range b.started {
		recorded, _ := record.Find(a.IfName)
		b.started[i].Result = b.results[a.IfName]
		b.started[i].PreviousMAC, b.started[i].PreviousRoutes = recorded.PreviousMAC, recorded.PreviousRoutes
	}
	leftover := b.plugin.tearDown(ctx, b.record, b.delegates, teardown{
		containerID:      b.req.ContainerID,
		netns:            b.req.Netns,
		attachments:      b.started,
		defaultIfName:    b.attachments[0].IfName,
		neverRan:         b.neverRan,
		auxiliaryTimeout: rollBackAuxiliaryTimeout,
		timeout:          rollBackTimeout,
	})
	return withLeftover(cause, leftover)
}
