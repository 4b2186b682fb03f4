package kactustest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	nettypes "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
)

// NetworkStatus returns the annotation network-status as its readers decode it; nothing if there is
// none.
func (p *Pod) NetworkStatus(t *testing.T) []nettypes.NetworkStatus {
	t.Helper()
	value, _ := p.networkStatus(t)
	if value == "" {
		return nil
	}
	var entries []nettypes.NetworkStatus
	Must(t, json.Unmarshal([]byte(value), &entries))
	return entries
}

func (p *Pod) networkStatus(t *testing.T) (value, resourceVersion string) {
	t.Helper()
	var pod struct {
		Metadata struct {
			ResourceVersion string
			Annotations     map[string]string
		}
	}
	Must(t, json.Unmarshal(Do(t, http.MethodGet, p.path(), nil, http.StatusOK), &pod))
	return pod.Metadata.Annotations[nettypes.NetworkStatusAnnot], pod.Metadata.ResourceVersion
}

// EventuallyNetworkStatus waits until the annotation network-status has entries for exactly these
// interfaces, in this order, and returns it.
func (p *Pod) EventuallyNetworkStatus(t *testing.T, ifNames ...string) []nettypes.NetworkStatus {
	t.Helper()
	var entries []nettypes.NetworkStatus
	Eventually(t, fmt.Sprintf("the network-status of %s has %q", p.Name, ifNames), func() bool {
		entries = p.NetworkStatus(t)
		var got []string
		for _, e := range entries {
			got = append(got, e.Interface)
		}
		return slices.Equal(got, ifNames)
	})
	return entries
}

// ChangeNetworkStatus changes the annotation network-status as another careful writer does: what is
// written meanwhile is not lost. It returns how often something was.
func (p *Pod) ChangeNetworkStatus(t *testing.T, change func(entries []any) []any) (conflicts int) {
	t.Helper()
	const mediaType = "application/merge-patch+json"
	for ; ; conflicts++ {
		value, version := p.networkStatus(t)
		var entries []any
		if value != "" {
			Must(t, json.Unmarshal([]byte(value), &entries))
		}
		patch := Encode(t, map[string]any{"metadata": map[string]any{
			"resourceVersion": version,
			"annotations":     map[string]string{nettypes.NetworkStatusAnnot: string(Encode(t, change(entries)))},
		}})
		status, answer, err := suite.controlPlane.Do(t.Context(), http.MethodPatch, p.path(), mediaType, patch)
		switch {
		case err != nil || status != http.StatusOK && status != http.StatusConflict:
			t.Fatalf("PATCH %s: status %d, %v: %s", p.path(), status, err, answer)
		case status == http.StatusOK:
			return conflicts
		}
	}
}
