package kube

import (
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestPodStore_TellsOfEachChange(t *testing.T) {
	var told []string
	s := newPodStore(func(namespace, name string) { told = append(told, namespace+"/"+name) })
	pod := func(name string) *WatchedPod {
		return &WatchedPod{ObjectMeta: metav1.ObjectMeta{
			Namespace: "tenant", Name: name, Labels: map[string]string{"app": name},
			Annotations: map[string]string{"networks": "[]", "other": "x"},
		}}
	}
	expect := func(after string, err error, want ...string) {
		t.Helper()
		slices.Sort(told)
		told = slices.Compact(told)
		if err != nil || !slices.Equal(told, want) {
			t.Errorf("%s: told of %q, %v; want %q", after, told, err, want)
		}
		told = nil
	}
	if s.synced.Load() {
		t.Error("synced before there is a list")
	}
	expect("a list", s.Replace([]any{pod("a"), pod("b")}, "1"), "tenant/a", "tenant/b")
	if !s.synced.Load() {
		t.Error("not synced after a list")
	}
	expect("a new Pod", s.Add(pod("c")), "tenant/c")
	expect("a change", s.Update(pod("a")), "tenant/a")
	expect("an end", s.Delete(pod("b")), "tenant/b")
	expect("another list", s.Replace([]any{pod("d")}, "2"), "tenant/a", "tenant/c", "tenant/d")
	if s.pod("tenant/a") != nil || s.pod("tenant/d") == nil {
		t.Errorf("has %v; want tenant/d", s.ListKeys())
	}
	d := s.pod("tenant/d")
	if d.Labels != nil || len(d.Annotations) != 1 || !strings.HasPrefix(d.Annotations["networks"], "[") {
		t.Errorf("kept of a Pod: %+v", d.ObjectMeta)
	}
}

func TestTrimPod_KeepsWhatAnAgentReads(t *testing.T) {
	pod := &WatchedPod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"other": "x"}}}
	kept := []string{
		"networks", "k8s.v1.cni.cncf.io/networks", "k8s.v1.cni.cncf.io/network-status",
		"v1.multus-cni.io/default-network", "kubernetes.io/config.hash",
	}
	for _, key := range kept {
		pod.Annotations[key] = "of " + key
	}
	if _, err := trimPod(pod); err != nil || len(pod.Annotations) != len(kept) {
		t.Errorf("kept %v, %v", pod.Annotations, err)
	}
	for _, key := range kept {
		if pod.Annotations[key] != "of "+key {
			t.Errorf("%s is lost", key)
		}
	}
}
