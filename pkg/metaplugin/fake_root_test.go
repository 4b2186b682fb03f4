//go:build root

package metaplugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podresources"
)

// fakeAPI is an apiserver in memory, with one Pod.
type fakeAPI struct {
	// noPod means that the Pod is missing.
	noPod bool
	// annotation is the Pod's networks, uid its UID, hash that of a static Pod's file.
	annotation, uid, hash string
	// networks holds configurations by namespace and name, and definitions those of
	// NetworkAttachmentDefinitions.
	networks, definitions map[string]string
	// npwg is the Pod's NPWG annotation, and defaultNetwork that of its default network.
	npwg, defaultNetwork string
	// resources holds the resources that Networks name, by namespace and name.
	resources map[string]string
	// pooled holds what ResourceSlices say of the devices of the driver nic.kaloom.com on node1.
	pooled map[kube.PooledDevice]kube.NetworkDevice
	// err, unless nil, is every answer.
	err error
	// hold has functions by namespace and name of Networks, which are called before the answer.
	hold map[string]func(context.Context)

	// pods and networksRead count the requests.
	pods, networksRead atomic.Int32
}

func newFakeAPI() *fakeAPI {
	return &fakeAPI{
		networks: map[string]string{}, definitions: map[string]string{}, resources: map[string]string{},
	}
}

func (a *fakeAPI) Pod(_ context.Context, namespace, name string) (kube.Pod, error) {
	a.pods.Add(1)
	switch {
	case a.err != nil:
		return kube.Pod{}, a.err
	case a.noPod:
		return kube.Pod{}, noSuchObject("/api/v1/namespaces/" + namespace + "/pods/" + name)
	}
	annotations := map[string]string{}
	if a.annotation != "" {
		annotations["networks"] = a.annotation
	}
	if a.npwg != "" {
		annotations[network.NPWGAnnotation] = a.npwg
	}
	if a.defaultNetwork != "" {
		annotations[network.DefaultNetworkAnnotation] = a.defaultNetwork
	}
	if a.hash != "" {
		annotations["kubernetes.io/config.hash"] = a.hash
	}
	return kube.Pod{Namespace: namespace, Name: name, UID: a.uid, Annotations: annotations}, nil
}

func (a *fakeAPI) Network(ctx context.Context, namespace, name string) (network.Network, error) {
	a.networksRead.Add(1)
	if hold := a.hold[namespace+"/"+name]; hold != nil {
		hold(ctx)
	}
	config, ok := a.networks[namespace+"/"+name]
	switch {
	case a.err != nil:
		return network.Network{}, a.err
	case !ok:
		return network.Network{}, noSuchObject("/apis/kaloom.com/v1/namespaces/" + namespace + "/networks/" + name)
	}
	resource := a.resources[namespace+"/"+name]
	return network.Network{Name: name, Namespace: namespace, Config: config, ResourceName: resource}, nil
}

func (a *fakeAPI) PodNode(context.Context, string, string) (string, error) { return "node1", nil }

func (a *fakeAPI) NetworkDevices(
	_ context.Context, driver, node string,
) (map[kube.PooledDevice]kube.NetworkDevice, error) {
	if driver != "nic.kaloom.com" || node != "node1" {
		return nil, nil
	}
	return a.pooled, nil
}

// fakeKubelet is a kubelet that has given these devices to the Pod.
type fakeKubelet struct {
	devices podresources.Devices
	err     error
	asked   int
}

func (k *fakeKubelet) Devices(_ context.Context, namespace, name string) (podresources.Devices, error) {
	k.asked++
	if namespace != pod.Namespace || name != pod.Name {
		return podresources.Devices{}, fmt.Errorf("asked for the Pod %s/%s", namespace, name)
	}
	return k.devices, k.err
}

// give gives the Pod devices of the resource.
func (k *fakeKubelet) give(resource string, ids ...string) {
	k.devices.IDs = map[string][]string{resource: ids}
}

func (a *fakeAPI) NetworkAttachmentDefinition(_ context.Context, namespace, name string) (network.Network, error) {
	config, ok := a.definitions[namespace+"/"+name]
	if !ok {
		return network.Network{}, noSuchObject("/apis/k8s.cni.cncf.io/v1/namespaces/" + namespace + "/" + name)
	}
	resource := a.resources[namespace+"/"+name]
	return network.Network{Name: name, Namespace: namespace, Config: config, NPWG: true, ResourceName: resource}, nil
}

func noSuchObject(path string) error {
	return &kube.Error{Doing: "GET " + path, Path: path, Status: http.StatusNotFound, Cause: errors.New("not there")}
}

// errDisk is the error of a store that fails.
var errDisk = errors.New("the disk is broken")

// faultyStore is a Store some of whose methods, and of those of its records, fail and do nothing.
type faultyStore struct {
	Store
	failing []string
}

// fail makes these methods fail, and no others.
func (s *faultyStore) fail(methods ...string) { s.failing = methods }

func (s *faultyStore) err(method string) error {
	if slices.Contains(s.failing, method) {
		return errDisk
	}
	return nil
}

func (s *faultyStore) Lock(ctx context.Context, containerID string) (LockedRecord, error) {
	record, err := s.Store.Lock(ctx, containerID)
	if err != nil {
		return nil, err
	}
	return &faultyRecord{LockedRecord: record, store: s}, nil
}

func (s *faultyStore) Records() iter.Seq2[ledger.Record, error] {
	if err := s.err("Records"); err != nil {
		return func(yield func(ledger.Record, error) bool) { yield(ledger.Record{}, err) }
	}
	return s.Store.Records()
}

func (s *faultyStore) Probe() error {
	if err := s.err("Probe"); err != nil {
		return err
	}
	return s.Store.Probe()
}

type faultyRecord struct {
	LockedRecord
	store *faultyStore
}

func (r *faultyRecord) WritePlanned(
	ctx context.Context, ns netns.ID, pod podargs.Pod, ifName string, attachments []ledger.Attachment,
) error {
	if err := r.store.err("WritePlanned"); err != nil {
		return err
	}
	return r.LockedRecord.WritePlanned(ctx, ns, pod, ifName, attachments)
}

func (r *faultyRecord) MarkAttached(results map[string]json.RawMessage) error {
	if err := r.store.err("MarkAttached"); err != nil {
		return err
	}
	return r.LockedRecord.MarkAttached(results)
}

func (r *faultyRecord) MarkMACChange(ifName string, previous network.MAC) error {
	if err := r.store.err("MarkMACChange"); err != nil {
		return err
	}
	return r.LockedRecord.MarkMACChange(ifName, previous)
}

func (r *faultyRecord) MarkRouteChange(ifName string, previous []netns.Route) error {
	if err := r.store.err("MarkRouteChange"); err != nil {
		return err
	}
	return r.LockedRecord.MarkRouteChange(ifName, previous)
}

func (r *faultyRecord) Remove(ifName string) error {
	if err := r.store.err("Remove"); err != nil {
		return err
	}
	return r.LockedRecord.Remove(ifName)
}

func (r *faultyRecord) MarkFailed(ifName string, now time.Time, cause error, tornDown []int) error {
	if err := r.store.err("MarkFailed"); err != nil {
		return err
	}
	return r.LockedRecord.MarkFailed(ifName, now, cause, tornDown)
}

func (r *faultyRecord) Orphan(ifName string, now time.Time, cause error, tornDown []int) error {
	if err := r.store.err("Orphan"); err != nil {
		return err
	}
	return r.LockedRecord.Orphan(ifName, now, cause, tornDown)
}

func (r *faultyRecord) Quarantine() (string, error) {
	if err := r.store.err("Quarantine"); err != nil {
		return "", err
	}
	return r.LockedRecord.Quarantine()
}

// Unsaved returns the error of a method that fails and would have been the last to write.
func (r *faultyRecord) Unsaved() error {
	if err := errors.Join(r.store.err("Remove"), r.store.err("Quarantine")); err != nil {
		return errDisk
	}
	return r.LockedRecord.Unsaved()
}
