package kube

import (
	"sync/atomic"

	nettypes "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// A podStore has the Pods that a reflector sees, and tells of each that is new, changes or goes.
type podStore struct {
	cache.Store
	changed func(namespace, name string)
	synced  atomic.Bool
}

func newPodStore(changed func(namespace, name string)) *podStore {
	return &podStore{Store: cache.NewStore(cache.DeletionHandlingMetaNamespaceKeyFunc), changed: changed}
}

// Add implements cache.ReflectorStore.
func (s *podStore) Add(object any) error { return s.put(object, s.Store.Add) }

// Update implements cache.ReflectorStore.
func (s *podStore) Update(object any) error { return s.put(object, s.Store.Update) }

// Delete implements cache.ReflectorStore.
func (s *podStore) Delete(object any) error { return s.put(object, s.Store.Delete) }

func (s *podStore) put(object any, put func(any) error) error {
	object, err := trimPod(object)
	if err != nil {
		return err
	}
	if err := put(object); err != nil {
		return err
	}
	s.tell(object)
	return nil
}

// Replace implements cache.ReflectorStore.
func (s *podStore) Replace(objects []any, version string) error {
	before := s.List()
	for _, object := range objects {
		if _, err := trimPod(object); err != nil {
			return err
		}
	}
	if err := s.Store.Replace(objects, version); err != nil {
		return err
	}
	s.synced.Store(true)
	for _, object := range append(before, s.List()...) {
		s.tell(object)
	}
	return nil
}

// Transformer implements cache.TransformingStore: the reflector itself keeps no more of a Pod.
func (s *podStore) Transformer() cache.TransformFunc { return trimPod }

func (s *podStore) tell(object any) {
	if pod, ok := object.(*WatchedPod); ok {
		s.changed(pod.Namespace, pod.Name)
	}
}

// pod returns the Pod with that key; nil if there is none.
func (s *podStore) pod(key string) *WatchedPod {
	object, _, _ := s.GetByKey(key)
	pod, _ := object.(*WatchedPod)
	return pod
}

// trimPod removes what nobody asks for, which is most of a Pod.
func trimPod(object any) (any, error) {
	pod, ok := object.(*WatchedPod)
	if !ok {
		return object, nil
	}
	annotations := map[string]string{}
	for _, key := range append(network.Annotations(), nettypes.NetworkStatusAnnot, staticPodHash) {
		if value, ok := pod.Annotations[key]; ok {
			annotations[key] = value
		}
	}
	pod.ObjectMeta = metav1.ObjectMeta{
		Namespace:         pod.Namespace,
		Name:              pod.Name,
		UID:               pod.UID,
		ResourceVersion:   pod.ResourceVersion,
		Generation:        pod.Generation,
		DeletionTimestamp: pod.DeletionTimestamp,
		Annotations:       annotations,
	}
	return pod, nil
}
