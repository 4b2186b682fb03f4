// Package meta is the verbs, and the only package that knows the order of things.
package meta

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/delegate"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

// Request is what the runtime asks of a verb.
type Request struct {
	ContainerID string
	// Netns is the path of the Pod's network namespace; a DEL's may be empty, or of what is no more.
	Netns string
	// Device is CNI_IFNAME: the default network's, or, where Args.Hot is set, that one network's.
	Device string
	Args   podargs.Args
	Conf   netconf.Conf
}

// defaultDevice is the default network's; empty where the request is for a hot network.
func (r Request) defaultDevice() string {
	if r.Args.Hot != nil {
		return ""
	}
	return r.Device
}

// Verbs are kactus's, on collaborators that a test can replace.
type Verbs struct {
	// API connects to the apiserver; a DEL never does.
	API func() (API, error)
	// Lock waits for the container's lock until ctx ends, and reads its record.
	Lock func(ctx context.Context, containerID string) (Book, error)
	// Read is all that the ledger holds, read without any lock.
	Read func() (ledger.Snapshot, error)
	// Freeze waits until ctx ends for the ledger to hold still, which it does until that is closed.
	Freeze func(ctx context.Context) (io.Closer, error)
	// Probe says whether the ledger can be written.
	Probe func() error
	// Delegates runs plugins that inherit the lock, which may be nil.
	Delegates func(lock *os.File) Delegates
	// Devices opens a network namespace.
	Devices func(netns string) (Devices, error)
	// Parallel is how many delegates of a Pod run at once, one at least.
	Parallel int
	Log      *slog.Logger
	Now      func() time.Time
}

// API is what the verbs ask the apiserver.
type API interface {
	Pod(ctx context.Context, namespace, name string) (kube.Pod, error)
	Network(ctx context.Context, namespace, name string) (network.Network, error)
}

// Book is a container's record in the ledger, locked.
type Book interface {
	Record() ledger.Record
	Unread() error
	SetAside() (string, error)
	LockFile() *os.File
	Plan(ctx context.Context, netns ledger.Netns, pod podargs.Pod, device string, entries []ledger.Entry) error
	Attached(results map[string]json.RawMessage) error
	Undone(device string) error
	Failed(device string, now time.Time, cause error) error
	Park(device string, now time.Time, cause error) error
	Unsaved() error
	Close()
}

// Delegates runs the plugins.
type Delegates interface {
	Find(chain cniconf.Chain) error
	Add(ctx context.Context, c delegate.Call) (types.Result, error)
	Del(ctx context.Context, c delegate.Call) error
	Check(ctx context.Context, c delegate.Call) error
	GC(ctx context.Context, chain cniconf.Chain, valid []types.GCAttachment) error
	Status(ctx context.Context, chain cniconf.Chain) error
}

// Devices are those of one network namespace.
type Devices interface {
	MAC(name string) (network.MAC, error)
	SetMAC(name string, mac network.MAC) error
	Close()
}

// What runtimes allow is 100 s for an ADD and 45 s for a DEL, all told. A plugin that does not end by the times below is ended, which
// can take two seconds more.
const (
	// addTime is for everything but the roll-back.
	addTime = 70 * time.Second
	// undoTime is for a roll-back, half of it for the auxiliary attachments.
	undoTime = 20 * time.Second
	// delTime is for a DEL; its auxiliary attachments have until delAuxiliaryTime of it.
	delTime          = 38 * time.Second
	delAuxiliaryTime = 25 * time.Second
	// checkTime is for a CHECK.
	checkTime = 30 * time.Second
	// sweepTime is for a GC to undo what is not valid, and tellTime for it to tell the delegates what is, while no ADD can begin.
	sweepTime = 70 * time.Second
	tellTime  = 15 * time.Second
	// statusTime is for a STATUS, which is to take less than a second.
	statusTime = 750 * time.Millisecond
	// lockTime is for another verb on the container to end.
	lockTime = 12 * time.Second
)

// parallelContainers is how many containers a GC undoes at once.
const parallelContainers = 4

// lock takes the container's lock, for which it waits as long as that. A record that does not read is an error: the container may have what
// nobody knows of.
func (v *Verbs) lock(ctx context.Context, containerID string, wait time.Duration) (Book, error) {
	book, err := v.lockAny(ctx, containerID, wait)
	if err != nil {
		return nil, err
	}
	if err := book.Unread(); err != nil {
		book.Close()
		return nil, ledgerError(fmt.Errorf("nothing is touched until a DEL of the Pod sets the record aside: %w", err))
	}
	return book, nil
}

// lockAny is lock, for whoever can do something about a record that does not read.
func (v *Verbs) lockAny(ctx context.Context, containerID string, wait time.Duration) (Book, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	book, err := v.Lock(ctx, containerID)
	if err != nil {
		return nil, ledgerError(err)
	}
	return book, nil
}

// needVersion: a runtime does not give a verb that its version of the specification does not have.
func needVersion(conf netconf.Conf, verb string) error {
	if cniconf.HasVerb(conf.CNIVersion, verb) {
		return nil
	}
	return coded(types.ErrIncompatibleCNIVersion, fmt.Errorf("the version %s of the CNI specification, which is the netconf's cniVersion, has no %s", conf.CNIVersion, verb))
}

// call is what the delegate of e is told.
func call(containerID, netns string, e ledger.Entry) delegate.Call {
	return delegate.Call{
		ContainerID:   containerID,
		Netns:         netns,
		Device:        e.Device,
		Args:          e.Args,
		Config:        e.Config,
		RuntimeConfig: e.RuntimeConfig,
		Result:        e.Result,
	}
}
