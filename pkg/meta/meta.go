// Package meta is the verbs, and the only package that knows the order of things.
package meta

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/delegate"
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
	// Delegates runs plugins that inherit the lock.
	Delegates func(lock *os.File) Delegates
	// Devices opens a network namespace.
	Devices func(netns string) (Devices, error)
	Log     *slog.Logger
	Now     func() time.Time
}

// API is what the verbs ask the apiserver.
type API interface {
	Pod(ctx context.Context, namespace, name string) (*metav1.PartialObjectMetadata, error)
	Network(ctx context.Context, namespace, name string) (network.Network, error)
}

// Book is a container's record in the ledger, locked.
type Book interface {
	Record() ledger.Record
	SetAside() error
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
	// lockTime is for another verb on the container to end.
	lockTime = 12 * time.Second
)

// parallelDelegates is how many delegates of a Pod run at once.
const parallelDelegates = 16

// lock takes the container's lock, and tells of a record that could not be read.
func (v *Verbs) lock(ctx context.Context, containerID string) (Book, error) {
	ctx, cancel := context.WithTimeout(ctx, lockTime)
	defer cancel()
	book, err := v.Lock(ctx, containerID)
	if err != nil {
		return nil, ledgerError(err)
	}
	if aside := book.SetAside(); aside != nil {
		v.Log.Warn("a record was set aside", "cause", aside)
	}
	return book, nil
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
