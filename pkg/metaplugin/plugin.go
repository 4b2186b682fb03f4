package metaplugin

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/delegate"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/deviceinfo"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

// Plugin runs the CNI operations on collaborators that a test can replace.
type Plugin struct {
	// API connects to the apiserver; a DEL never does.
	API func() (API, error)
	// Kubelet knows which devices it has given to the Pod of an ADD.
	Kubelet Kubelet
	// DeviceInfo is the directory of device-info files.
	DeviceInfo deviceinfo.Dir
	Store      Store
	Marks      Marks
	// Delegates returns what runs delegates, whose plugins inherit the lock; nil for none.
	Delegates func(lock *os.File) Delegates
	// OpenNetns opens the network namespace at path.
	OpenNetns func(path string) (Netns, error)
	// Parallel is how many delegates of one Pod run at once, at least one.
	Parallel int
	// ParallelPlugins are types of plugins that may run at once, in addition to those that package
	// plan knows.
	ParallelPlugins []string
	// NPWGParallel lets the delegates of NetworkAttachmentDefinitions run at once, too.
	NPWGParallel bool
	// FindConfig returns the CNI configuration of that name in a directory, and its file.
	FindConfig func(dir, name string) (config []byte, path string, err error)
	Log        *slog.Logger
	Now        func() time.Time
}

// API reads from the apiserver.
type API interface {
	Pod(ctx context.Context, namespace, name string) (kube.Pod, error)
	Network(ctx context.Context, namespace, name string) (network.Network, error)
	NetworkAttachmentDefinition(ctx context.Context, namespace, name string) (network.Network, error)
	PodNode(ctx context.Context, namespace, name string) (string, error)
	NetworkDevices(ctx context.Context, driver, node string) (map[kube.PooledDevice]kube.NetworkDevice, error)
}

// Store is the ledger.
type Store interface {
	// Lock waits for the container's lock until ctx ends, and reads its record.
	Lock(ctx context.Context, containerID string) (LockedRecord, error)
	// ReadRecord reads the container's record without any lock; fs.ErrNotExist if there is none.
	ReadRecord(containerID string) (ledger.Record, error)
	// ReadMultus returns what Multus attached the container to, as a record; fs.ErrNotExist if
	// nothing. ifName is the interface of its default network.
	ReadMultus(containerID, ifName string) (ledger.Record, error)
	// Records reads the records one at a time, without any lock.
	Records() iter.Seq2[ledger.Record, error]
	// Busy reports whether an operation on the container is running, without any lock.
	Busy(containerID string) bool
	// Holders returns the processes that hold the container's lock.
	Holders(containerID string) []ledger.Holder
	// ReleaseFromDaemons takes the container's lock away from daemons, if nobody else holds it.
	ReleaseFromDaemons(containerID string) error
	// LockExclusive keeps any plan from being written until the returned lock is closed.
	LockExclusive(ctx context.Context) (io.Closer, error)
	// Unsettled returns the containers that may have something left to tear down, at no cost that
	// grows with the number of the others.
	Unsettled() ([]string, error)
	// Probe reports whether a record could be written.
	Probe() error
}

// LockedRecord is the record of a container that this operation may change: a *ledger.LockedRecord.
type LockedRecord interface {
	Record() ledger.Record
	Corrupt() error
	Adopt(ifName string, pod podargs.Pod)
	AdoptMultus(ns netns.ID, ifName string, pod podargs.Pod) (corrupt, err error)
	Quarantine() (string, error)
	LockFile() *os.File
	WritePlanned(
		ctx context.Context, ns netns.ID, pod podargs.Pod, ifName string, attachments []ledger.Attachment,
	) error
	MarkAttached(results map[string]json.RawMessage) error
	MarkNoInterface(ifName string) error
	MarkDeviceInfo(ifName string, info json.RawMessage) error
	MarkMACChange(ifName string, previous network.MAC) error
	MarkRouteChange(ifName string, previous []netns.Route) error
	Remove(ifName string) error
	MarkFailed(ifName string, now time.Time, cause error, tornDown []int) error
	Orphan(ifName string, now time.Time, cause error, tornDown []int) error
	Unsaved() error
	Close()
}

// Delegates runs the plugins of delegates: a delegate.Runner.
type Delegates interface {
	Find(chain cniconf.Chain) error
	Add(ctx context.Context, c delegate.Call) (*cniconf.Result, error)
	Del(ctx context.Context, c delegate.Call) (tornDown []int, err error)
	DelEach(ctx context.Context, c delegate.Call) (tornDown []int, err error)
	Check(ctx context.Context, c delegate.Call) error
	GC(ctx context.Context, chain cniconf.Chain, valid []types.GCAttachment) error
	Status(ctx context.Context, chain cniconf.Chain) error
}

// Netns reads and changes the interfaces and default routes of one network namespace: a
// *netns.Namespace.
type Netns interface {
	MAC(ifName string) (network.MAC, error)
	SetMAC(ifName string, mac network.MAC) error
	SetPermanentMAC(mac, permanent network.MAC) (ifName string, err error)
	DefaultRoutes(destination netip.Prefix) ([]netns.Route, error)
	SetDefaultRoute(ifName string, gateways []netip.Addr) error
	PutBackDefaultRoutes(ifName string, routes []netns.Route) (passedOver []netns.Route, err error)
	Close()
}

// LedgerStore returns the ledger in dir, whose locks are in lockDir, as a Store. The directories
// are created when they are first needed. multusDir is where Multus keeps its own records.
func LedgerStore(dir, lockDir, multusDir string) Store {
	open := sync.OnceValues(func() (ledger.Ledger, error) {
		l, err := ledger.Open(dir, lockDir)
		return l.WithMultus(multusDir), err
	})
	return &ledgerStore{open: open}
}

type ledgerStore struct {
	open func() (ledger.Ledger, error)
}

// Lock implements Store.
func (s *ledgerStore) Lock(ctx context.Context, containerID string) (LockedRecord, error) {
	l, err := s.open()
	if err != nil {
		return nil, err
	}
	record, err := l.Lock(ctx, containerID)
	if err != nil {
		return nil, err
	}
	return record, nil
}

// ReadRecord implements Store.
func (s *ledgerStore) ReadRecord(containerID string) (ledger.Record, error) {
	l, err := s.open()
	if err != nil {
		return ledger.Record{}, err
	}
	return l.ReadRecord(containerID)
}

// ReadMultus implements Store.
func (s *ledgerStore) ReadMultus(containerID, ifName string) (ledger.Record, error) {
	l, err := s.open()
	if err != nil {
		return ledger.Record{}, err
	}
	return l.ReadMultus(containerID, ifName)
}

// Records implements Store.
func (s *ledgerStore) Records() iter.Seq2[ledger.Record, error] {
	l, err := s.open()
	if err != nil {
		return func(yield func(ledger.Record, error) bool) { yield(ledger.Record{}, err) }
	}
	return l.Records()
}

// Busy implements Store.
func (s *ledgerStore) Busy(containerID string) bool {
	l, err := s.open()
	return err == nil && l.Busy(containerID)
}

// Holders implements Store.
func (s *ledgerStore) Holders(containerID string) []ledger.Holder {
	l, err := s.open()
	if err != nil {
		return nil
	}
	return l.Holders(containerID)
}

// ReleaseFromDaemons implements Store.
func (s *ledgerStore) ReleaseFromDaemons(containerID string) error {
	l, err := s.open()
	if err != nil {
		return err
	}
	return l.ReleaseFromDaemons(containerID)
}

// LockExclusive implements Store.
func (s *ledgerStore) LockExclusive(ctx context.Context) (io.Closer, error) {
	l, err := s.open()
	if err != nil {
		return nil, err
	}
	return l.LockExclusive(ctx)
}

// Unsettled implements Store.
func (s *ledgerStore) Unsettled() ([]string, error) {
	l, err := s.open()
	if err != nil {
		return nil, err
	}
	return l.Unsettled()
}

// Probe implements Store.
func (s *ledgerStore) Probe() error {
	l, err := s.open()
	if err != nil {
		return err
	}
	return l.Probe()
}

// call describes an attachment to its delegate.
func call(containerID, netnsPath string, a ledger.Attachment) delegate.Call {
	return delegate.Call{
		ContainerID:   containerID,
		Netns:         netnsPath,
		IfName:        a.IfName,
		Args:          a.Args,
		Config:        a.Config,
		RuntimeConfig: a.RuntimeConfig,
		Result:        a.Result,
		TornDown:      a.TornDown,
	}
}
