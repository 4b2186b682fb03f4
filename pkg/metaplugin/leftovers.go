package metaplugin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
)

// reclaimLeftovers tears down what another container left whose network namespace is gone: runtimes
// do not ask again for every DEL that failed, and for none that was killed with kactus. It tries
// one container, in a bounded time, and costs nothing that counts while there are no leftovers. The
// DEL that it follows has succeeded or failed already: what happens here is only logged.
func (p *Plugin) reclaimLeftovers(ctx context.Context, containerID string) {
	unsettled, err := p.Store.Unsettled()
	if err != nil {
		p.Log.Warn("the leftovers of other containers cannot be listed", "cause", err)
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, leftoversTimeout,
		fmt.Errorf("the limit of reclaiming leftovers is %s", leftoversTimeout))
	defer cancel()
	var index *netns.Index
	for _, id := range unsettled {
		if id == containerID || ctx.Err() != nil {
			continue
		}
		if index == nil {
			scanned, err := netns.Scan()
			if err != nil {
				p.Log.Warn("the leftovers of other containers cannot be told from live ones", "cause", err)
				return
			}
			index = &scanned
		}
		if p.reclaimLeftover(ctx, id, *index) {
			return
		}
	}
}

// isLive reports whether the network namespace is certainly there.
func isLive(id netns.ID) bool {
	now, err := netns.Identify(id.Path)
	return err == nil && now.Same(id)
}

// reclaimLeftover reports whether it tried to reclaim the container.
func (p *Plugin) reclaimLeftover(ctx context.Context, containerID string, index netns.Index) bool {
	record, err := p.Store.ReadRecord(containerID)
	switch {
	case errors.Is(err, fs.ErrNotExist): // locking and releasing the container settles it
	case err != nil:
		return false
	case !index.Gone(record.Netns) && !(record.IsSettled() && isLive(record.Netns)):
		return false
	}
	tried, err := p.reclaimContainer(ctx, containerID, func(r ledger.Record) bool { return index.Gone(r.Netns) })
	if err != nil {
		p.Log.Warn("the leftovers of another container cannot be reclaimed", "cause", err)
	}
	return tried
}
