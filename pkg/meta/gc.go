package meta

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
)

// GC runs GC (CNI specification 1.1.0, section 2): undoes what the ledger holds of containers of which the runtime lists no attachment, and
// tells each delegate which of its attachments are valid. A container's attachments are valid as long as one of them is listed: runtimes know
// of the default network alone. What fails does not stop the rest; the error, a *types.Error, joins it.
func (v *Verbs) GC(ctx context.Context, conf netconf.Conf) error {
	if conf.DisableGC {
		v.Log.Info("nothing is undone: the netconf has disableGC")
		return nil
	}
	if err := v.gc(ctx, conf); err != nil {
		return asCNI(err)
	}
	return nil
}

func (v *Verbs) gc(ctx context.Context, conf netconf.Conf) error {
	if err := needVersion(conf, "GC"); err != nil {
		return err
	}
	if conf.ValidAttachments == nil {
		return coded(types.ErrInvalidNetworkConfig, errors.New("netconf: cni.dev/valid-attachments: there is none, which is not taken for an empty list"))
	}
	g := gc{begin: v.Now(), listed: map[string]bool{}}
	for _, a := range conf.ValidAttachments {
		g.listed[a.ContainerID] = true
	}
	var unswept error
	g.swept, unswept = v.sweep(ctx, func(r ledger.Record) bool {
		return !g.listed[r.ContainerID] && !slices.ContainsFunc(r.Attachments, g.isNew)
	})
	return errors.Join(unswept, v.tell(ctx, conf, g))
}

// gc is one GC under way.
type gc struct {
	begin time.Time
	// listed are the containers that are valid, by the runtime.
	listed map[string]bool
	swept  swept
}

// isNew says whether an ADD made the attachment since the GC began: the runtime's list may be older.
func (g gc) isNew(e ledger.Entry) bool { return e.Created.After(g.begin) }

// valid says whether a delegate must keep what it has for the attachment. What the GC did not try to undo is another verb's, and may live.
func (g gc) valid(containerID string, e ledger.Entry) bool {
	return !g.swept[containerID] || g.isNew(e)
}

// tell has every delegate's GC run that the netconf or the ledger knows. Meanwhile the ledger is frozen: a delegate that began after the list was made
// would not be in it, and would lose what it has just got.
func (v *Verbs) tell(ctx context.Context, conf netconf.Conf, g gc) error {
	ctx, cancel := context.WithTimeoutCause(ctx, tellTime, fmt.Errorf("telling the delegates what is valid may take %s", tellTime))
	defer cancel()
	frozen, err := v.Freeze(ctx)
	if err != nil {
		return ledgerError(err)
	}
	defer frozen.Close()
	snapshot, err := v.Read()
	if err != nil {
		return ledgerError(err)
	}
	chains, err := chainsToTell(conf, snapshot)
	if err != nil || len(chains) == 0 {
		return err
	}
	if err := g.accountedFor(snapshot); err != nil {
		return coded(CodeUntold, fmt.Errorf("the delegates are not told which attachments are valid, because they would free what the others have: %w", err))
	}
	valid := g.validByName(snapshot)
	delegates := v.Delegates(nil) // a plugin that hangs must not keep the ledger frozen when kactus is killed
	failed := make([]error, len(chains))
	inParallel(v.Parallel, len(chains), func(i int) {
		failed[i] = delegates.GC(ctx, chains[i], valid[chains[i].Name])
	})
	return errors.Join(failed...)
}

// chainsToTell are the different configurations that have a GC, in a fixed order.
func chainsToTell(conf netconf.Conf, snapshot ledger.Snapshot) ([]cniconf.Chain, error) {
	var all []cniconf.Chain
	for _, a := range plan.Default(conf, "") {
		all = append(all, a.Config)
	}
	for _, r := range snapshot.Records {
		for _, e := range slices.Concat(r.Attachments, r.Orphans) {
			all = append(all, e.Config)
		}
	}
	distinct := map[string]bool{}
	var chains []cniconf.Chain
	for _, chain := range all {
		data, err := json.Marshal(chain)
		if err != nil {
			return nil, fmt.Errorf("compare the configurations of the delegate %s: %w", chain.Name, err)
		}
		if chain.Has("GC") && !distinct[string(data)] {
			distinct[string(data)] = true
			chains = append(chains, chain)
		}
	}
	slices.SortStableFunc(chains, func(a, b cniconf.Chain) int { return cmp.Compare(a.Name, b.Name) })
	return chains, nil
}

// accountedFor says whether the ledger can tell everything that the listed containers have: a list with less would have the delegates free
// what is in use.
func (g gc) accountedFor(snapshot ledger.Snapshot) error {
	var unknown []error
	for id := range g.listed {
		if _, known := snapshot.Find(id); !known {
			unknown = append(unknown, fmt.Errorf("the runtime lists the container %s, of which the ledger has no record", id))
		}
	}
	for _, u := range snapshot.Unread {
		if g.listed[u.ContainerID] {
			unknown = append(unknown, errors.New(u.String()))
		}
	}
	slices.SortFunc(unknown, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return errors.Join(unknown...)
}

// validByName are the valid attachments by their delegates' names: whatever their configurations say else, delegates of one name share what they
// keep, such as the addresses of an IPAM plugin.
func (g gc) validByName(snapshot ledger.Snapshot) map[string][]types.GCAttachment {
	valid := map[string][]types.GCAttachment{}
	for _, r := range snapshot.Records {
		for _, e := range slices.Concat(r.Attachments, r.Orphans) {
			if g.valid(r.ContainerID, e) {
				valid[e.Config.Name] = append(valid[e.Config.Name], types.GCAttachment{ContainerID: r.ContainerID, IfName: e.Device})
			}
		}
	}
	return valid
}
