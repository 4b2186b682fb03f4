package metaplugin

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
)

// schedule returns the groups of attachments whose delegates run at once, as plan.Schedule does.
func (p *Plugin) schedule(attachments []ledger.Attachment) [][]int {
	planned := make([]plan.Attachment, len(attachments))
	for i, a := range attachments {
		planned[i] = a.Attachment
	}
	return plan.Schedule(planned, p.ParallelPlugins, p.NPWGParallel)
}

// reversed calls do for each attachment, in the reverse order of the schedule. A group that hangs
// must not keep the others from being tried: once it has had its share of the time until ctx ends,
// the next one starts beside it.
func (p *Plugin) reversed(ctx context.Context, attachments []ledger.Attachment, do func(i int)) {
	groups := p.schedule(attachments)
	slices.Reverse(groups)
	var running sync.WaitGroup
	for n, group := range groups {
		done := make(chan struct{})
		running.Go(func() {
			defer close(done)
			inParallel(p.Parallel, len(group), func(i int) { do(group[i]) })
		})
		waitForShare(ctx, done, len(groups)-n)
	}
	running.Wait()
}

// waitForShare waits until done, for at most the time until ctx ends divided by shares.
func waitForShare(ctx context.Context, done <-chan struct{}, shares int) {
	deadline, ok := ctx.Deadline()
	if !ok {
		<-done
		return
	}
	timer := time.NewTimer(time.Until(deadline) / time.Duration(shares))
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}
