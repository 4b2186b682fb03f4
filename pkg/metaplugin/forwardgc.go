package metaplugin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
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
	known, err := p.survey(conf, g)
	if err != nil {
		return err
	}
	chains := known.sortedChains()
	if len(chains) == 0 {
		return nil
	}
	if err := g.checkComplete(known); err != nil {
		return notForwardedError(fmt.Errorf(
			"the valid attachments are not forwarded to the delegates, which would free what the others have: %w", err))
	}
	delegates := p.Delegates(nil) // a plugin that hangs must not keep the ledger locked after kactus is killed
	failed := make([]error, len(chains))
	inParallel(p.Parallel, len(chains), func(i int) {
		failed[i] = delegates.GC(ctx, chains[i], known.valid[chains[i].Name])
	})
	return errors.Join(failed...)
}

// survey is what forwardGC has to know of all records together.
type survey struct {
	// chains are the distinct configurations of delegates that support GC.
	chains map[[sha256.Size]byte]cniconf.Chain
	// valid holds the valid attachments by the names of their delegates: delegates of one name
	// share what they keep, such as the addresses of an IPAM plugin, however their configurations
	// differ otherwise.
	valid map[string][]types.GCAttachment
	// recorded holds the containers that have a record that can be read.
	recorded map[string]bool
	corrupt  []ledger.CorruptRecord
}

func (p *Plugin) survey(conf netconf.Conf, g collection) (*survey, error) {
	s := &survey{
		chains:   map[[sha256.Size]byte]cniconf.Chain{},
		valid:    map[string][]types.GCAttachment{},
		recorded: map[string]bool{},
	}
	for _, a := range plan.Default(conf, "") {
		if err := s.addChain(a.Config); err != nil {
			return nil, err
		}
	}
	for r, err := range p.Store.Records() {
		var corrupt ledger.CorruptRecord
		if errors.As(err, &corrupt) {
			s.corrupt = append(s.corrupt, corrupt)
			continue
		}
		if err != nil {
			return nil, storeError(err)
		}
		// What is not listed, but busy, may be live.
		if err := s.addRecord(r, !g.isStale(r) || p.Store.Busy(r.ContainerID)); err != nil {
			return nil, err
		}
	}
	if err := p.addMultus(s, g); err != nil {
		return nil, err
	}
	s.addUnrecorded(g, conf.Master.Name)
	return s, nil
}

// addMultus adds what Multus attached before the node moved to kactus, of what the runtime lists.
func (p *Plugin) addMultus(s *survey, g collection) error {
	for _, id := range slices.Sorted(maps.Keys(g.listed)) {
		if s.recorded[id] {
			continue
		}
		r, err := p.Store.ReadMultus(id, g.listed[id][0].IfName)
		var corrupt ledger.CorruptRecord
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case errors.As(err, &corrupt):
			s.corrupt = append(s.corrupt, corrupt)
		case err != nil:
			return storeError(err)
		default:
			if err := s.addRecord(r, true); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *survey) addRecord(r ledger.Record, valid bool) error {
	s.recorded[r.ContainerID] = true
	for _, a := range slices.Concat(r.Attachments, r.Orphans) {
		if err := s.addChain(a.Config); err != nil {
			return err
		}
		if valid {
			attachment := types.GCAttachment{ContainerID: r.ContainerID, IfName: a.IfName}
			s.valid[a.Config.Name] = append(s.valid[a.Config.Name], attachment)
		}
	}
	return nil
}

// addUnrecorded adds what the runtime lists, and the ledger has no record of, for the master
// delegate: it may have attached the container before kactus was installed.
func (s *survey) addUnrecorded(g collection, master string) {
	for _, id := range slices.Sorted(maps.Keys(g.listed)) {
		if !s.recorded[id] {
			s.valid[master] = append(s.valid[master], g.listed[id]...)
		}
	}
}

func (s *survey) addChain(chain cniconf.Chain) error {
	if !chain.Supports("GC") {
		return nil
	}
	encoded, err := chain.Encode()
	if err != nil {
		return fmt.Errorf("compare the configurations of the delegate %s: %w", chain.Name, err)
	}
	s.chains[sha256.Sum256(encoded)] = chain
	return nil
}

// sortedChains returns the chains ordered by name.
func (s *survey) sortedChains() []cniconf.Chain {
	return slices.SortedFunc(maps.Values(s.chains), func(a, b cniconf.Chain) int {
		return cmp.Compare(a.Name, b.Name)
	})
}

// checkComplete reports what the ledger cannot name of the listed containers: a list that lacks an
// attachment would have the delegates free what is in use. A container without a record is no gap:
// it never had attachments, such as one on the node's own network, or its DEL tore down all.
func (g collection) checkComplete(known *survey) error {
	var gaps []error
	for _, c := range known.corrupt {
		if len(g.listed[c.ContainerID]) > 0 {
			gaps = append(gaps, c)
		}
	}
	slices.SortFunc(gaps, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return errors.Join(gaps...)
}
