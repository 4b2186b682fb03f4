package metaplugin

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

// GC runs GC (CNI specification 1.1.0, section 2). It reclaims what the ledger holds of containers
// of which the runtime lists no attachment, and forwards to each delegate which of its attachments
// are valid. A container's attachments are valid as long as one of them is listed: runtimes know of
// the default network alone. A failure does not stop the rest; the error, a *types.Error, joins
// all.
func (p *Plugin) GC(ctx context.Context, req Request) error {
	if req.Conf.DisableGC {
		p.Log.Info("nothing is reclaimed: the netconf has disableGC")
		return nil
	}
	return asCNI(p.gc(ctx, req))
}

func (p *Plugin) gc(ctx context.Context, req Request) error {
	if err := req.checkVersion("GC"); err != nil {
		return err
	}
	if req.Conf.ValidAttachments == nil {
		return configError(errors.New("netconf: cni.dev/valid-attachments: missing, which does not mean an empty list"))
	}
	g := collection{start: p.Now(), listed: map[string]bool{}}
	for _, a := range req.Conf.ValidAttachments {
		g.listed[a.ContainerID] = true
	}
	var failed error
	g.reclaimed, failed = p.reclaim(ctx, func(r ledger.Record) bool {
		return !g.listed[r.ContainerID] && !slices.ContainsFunc(r.Attachments, g.isNew)
	})
	return errors.Join(failed, p.forwardGC(ctx, req.Conf, g))
}

// collection is the state of one GC.
type collection struct {
	start time.Time
	// listed holds the containers that are valid according to the runtime.
	listed map[string]bool
	// reclaimed holds the containers all of whose attachments the GC tried to tear down.
	reclaimed map[string]bool
}

// isNew reports whether the attachment was made after the GC started: the runtime's list may be
// older.
func (g collection) isNew(a ledger.Attachment) bool { return a.Created.After(g.start) }

// isValid reports whether a delegate must keep what it has for the attachment. What the GC did not
// try to tear down belongs to another operation, and may be live.
func (g collection) isValid(containerID string, a ledger.Attachment) bool {
	return !g.reclaimed[containerID] || g.isNew(a)
}
