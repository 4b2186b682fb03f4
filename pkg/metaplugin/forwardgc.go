package metaplugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
)

// forwardGC runs GC of every delegate that the netconf or the ledger knows. No plan can be written
// meanwhile: a delegate that started after the list was made would not be in it, and would lose
// what it has just been given.
func (p *Plugin) forwardGC(ctx context.Context, conf netconf.Conf, g collection) error {
	ctx, cancel := context.WithTimeoutCause(ctx, forwardGCTimeout,
		fmt.Errorf("the limit of forwarding the valid attachments to the delegates is %s", forwardGCTimeout))
	defer cancel()
	lock, err := p.Store.LockExclusive(ctx)
	if err != nil {
		return storeError(err)
	}
	defer lock.Close()
	snapshot, err := p.Store.Read()
	if err != nil {
		return storeError(err)
	}
	chains, err := chainsWithGC(conf, snapshot)
	if err != nil || len(chains) == 0 {
		return err
	}
	if err := g.checkComplete(snapshot); err != nil {
		return notForwardedError(fmt.Errorf(
			"the valid attachments are not forwarded to the delegates, which would free what the others have: %w", err))
	}
	valid := g.validByName(snapshot, conf.Master.Name, p.Store.Busy)
	delegates := p.Delegates(nil) // a plugin that hangs must not keep the ledger locked after kactus is killed
	failed := make([]error, len(chains))
	inParallel(p.Parallel, len(chains), func(i int) {
		failed[i] = delegates.GC(ctx, chains[i], valid[chains[i].Name])
	})
	return errors.Join(failed...)
}

// chainsWithGC returns the distinct configurations of delegates that support GC, ordered by name.
func chainsWithGC(conf netconf.Conf, snapshot ledger.Snapshot) ([]cniconf.Chain, error) {
	var all []cniconf.Chain
	for _, a := range plan.Default(conf, "") {
		all = append(all, a.Config)
	}
	for _, r := range snapshot.Records {
		for _, a := range slices.Concat(r.Attachments, r.Orphans) {
			all = append(all, a.Config)
		}
	}
	seen := map[string]bool{}
	var chains []cniconf.Chain
	for _, chain := range all {
		key, err := chain.Encode()
		if err != nil {
			return nil, fmt.Errorf("compare the configurations of the delegate %s: %w", chain.Name, err)
		}
		if chain.Supports("GC") && !seen[string(key)] {
			seen[string(key)] = true
			chains = append(chains, chain)
		}
	}
	slices.SortStableFunc(chains, func(a, b cniconf.Chain) int { return cmp.Compare(a.Name, b.Name) })
	return chains, nil
}

// checkComplete reports what the ledger cannot name of the listed containers: a list that lacks an
// attachment would have the delegates free what is in use. A container without a record is no gap:
// it never had attachments, such as one on the node's own network, or its DEL tore down all.
func (g collection) checkComplete(snapshot ledger.Snapshot) error {
	var gaps []error
	for _, c := range snapshot.Corrupt {
		if len(g.listed[c.ContainerID]) > 0 {
			gaps = append(gaps, errors.New(c.String()))
		}
	}
	slices.SortFunc(gaps, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return errors.Join(gaps...)
}

// validByName returns the valid attachments by the names of their delegates: delegates of one name
// share what they keep, such as the addresses of an IPAM plugin, however their configurations
// differ otherwise. What is not listed, but busy, may be live. What is listed and has no record is
// passed on to the master delegate, which may have attached the container before kactus was
// installed.
func (g collection) validByName(
	snapshot ledger.Snapshot, master string, busy func(containerID string) bool,
) map[string][]types.GCAttachment {
	valid := map[string][]types.GCAttachment{}
	unknown := maps.Clone(g.listed)
	for _, r := range snapshot.Records {
		delete(unknown, r.ContainerID)
		if g.isStale(r) && !busy(r.ContainerID) {
			continue
		}
		for _, a := range slices.Concat(r.Attachments, r.Orphans) {
			attachment := types.GCAttachment{ContainerID: r.ContainerID, IfName: a.IfName}
			valid[a.Config.Name] = append(valid[a.Config.Name], attachment)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(unknown)) {
		valid[master] = append(valid[master], unknown[id]...)
	}
	return valid
}
