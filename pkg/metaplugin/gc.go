package metaplugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
)

// GC runs GC (CNI specification 1.1.0, section 2). It forwards to each delegate which of its
// attachments are valid, and reclaims what the ledger holds of containers of which the runtime
// lists no attachment. A container's attachments are valid as long as one of them is listed:
// runtimes know of the default network alone. What is certain comes first: to reclaim takes as long
// as the slowest delegate. A failure does not stop the rest; the error, a *types.Error, joins all.
func (p *Plugin) GC(ctx context.Context, req Request) error {
	if req.Conf.DisableGC {
		p.Log.Info("nothing is reclaimed: the netconf has disableGC")
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, gcTimeout, fmt.Errorf("the limit of a GC is %s", gcTimeout))
	defer cancel()
	return asCNI(p.gc(ctx, req))
}

func (p *Plugin) gc(ctx context.Context, req Request) error {
	if err := req.checkVersion("GC"); err != nil {
		return err
	}
	if req.Conf.ValidAttachments == nil {
		return configError(errors.New("netconf: cni.dev/valid-attachments: missing, which does not mean an empty list"))
	}
	g := collection{start: p.Now(), now: p.Now, listed: map[string][]types.GCAttachment{}}
	for _, a := range req.Conf.ValidAttachments {
		g.listed[a.ContainerID] = append(g.listed[a.ContainerID], a)
	}
	failed := p.forwardGC(ctx, req.Conf, g)
	return errors.Join(failed, p.Reclaim(ctx, g.isStale))
}

// collection is the state of one GC.
type collection struct {
	start time.Time
	now   func() time.Time
	// listed holds what is valid according to the runtime, by container.
	listed map[string][]types.GCAttachment
}

// isStale reports whether the container is to be reclaimed. Whether the predecessor's is gone
// cannot be told.
func (g collection) isStale(r ledger.Record) bool {
	if len(g.listed[r.ContainerID]) > 0 || r.Netns.IsZero() {
		return false
	}
	own, err := netns.Own()
	anotherBoot := err == nil && r.Netns.BootID != own.BootID
	return anotherBoot || !slices.ContainsFunc(r.Attachments, g.isNew)
}

// isNew reports whether the attachment was made after the GC started: the runtime's list may be
// older. A time in the future is from before the clock was set back.
func (g collection) isNew(a ledger.Attachment) bool {
	return a.Created.After(g.start) && !a.Created.After(g.now())
}
