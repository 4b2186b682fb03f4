package kube

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

// WatchedPod has what a node agent needs of a Pod. It is a type of its own, because the package
// k8s.io/api takes longer to load than an ADD may last.
type WatchedPod struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              WatchedPodSpec   `json:"spec"`
	Status            WatchedPodStatus `json:"status"`
}

// WatchedPodSpec is a part of a Pod's spec.
type WatchedPodSpec struct {
	HostNetwork    bool            `json:"hostNetwork"`
	ReadinessGates []ReadinessGate `json:"readinessGates"`
}

// ReadinessGate names a condition that the Pod's readiness waits for.
type ReadinessGate struct {
	ConditionType string `json:"conditionType"`
}

// WatchedPodStatus is a part of a Pod's status.
type WatchedPodStatus struct {
	Phase      string      `json:"phase"`
	PodIP      string      `json:"podIP"`
	Conditions []Condition `json:"conditions"`
}

// Condition is a condition of a Pod.
type Condition struct {
	Type               string      `json:"type"`
	Status             string      `json:"status"`
	Reason             string      `json:"reason,omitempty"`
	Message            string      `json:"message,omitempty"`
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitempty"`
}

// DeepCopyObject implements runtime.Object.
func (p *WatchedPod) DeepCopyObject() runtime.Object {
	c := *p
	c.ObjectMeta = *p.ObjectMeta.DeepCopy()
	c.Spec.ReadinessGates = append([]ReadinessGate(nil), p.Spec.ReadinessGates...)
	c.Status.Conditions = append([]Condition(nil), p.Status.Conditions...)
	return &c
}

// watchedPodList is a list of Pods as the apiserver sends it.
type watchedPodList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []WatchedPod `json:"items"`
}

// DeepCopyObject implements runtime.Object.
func (l *watchedPodList) DeepCopyObject() runtime.Object {
	c := &watchedPodList{TypeMeta: l.TypeMeta, ListMeta: *l.ListMeta.DeepCopy()}
	for i := range l.Items {
		c.Items = append(c.Items, *l.Items[i].DeepCopyObject().(*WatchedPod))
	}
	return c
}

// podCodecs returns the codecs of the types above, which are made for a watch alone: most processes
// have none.
func podCodecs() (serializer.CodecFactory, runtime.ParameterCodec) {
	scheme := runtime.NewScheme()
	v1 := schema.GroupVersion{Version: "v1"}
	scheme.AddKnownTypeWithName(v1.WithKind("Pod"), &WatchedPod{})
	scheme.AddKnownTypeWithName(v1.WithKind("PodList"), &watchedPodList{})
	metav1.AddToGroupVersion(scheme, v1)
	return serializer.NewCodecFactory(scheme), runtime.NewParameterCodec(scheme)
}
