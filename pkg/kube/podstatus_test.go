package kube

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"
)

func TestClient_PatchStatus(t *testing.T) {
	var sent, kind string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent, kind = r.Method+" "+r.URL.Path+" "+string(body), r.Header.Get("Content-Type")
		_, _ = io.WriteString(w, `{"kind": "PartialObjectMetadata", "metadata": {"resourceVersion": "8",
			"annotations": {"a": "b", "k8s.v1.cni.cncf.io/network-status": "[{}]"}}}`)
	})
	c := s.client(t)
	status := "[]"
	condition := &Condition{Type: "kaloom.com/NetworksAttached", Status: "True", Reason: "Attached"}
	const path = "PATCH " + podPath + "/status "
	for name, test := range map[string]struct {
		patch StatusPatch
		want  string
	}{
		"the condition": {StatusPatch{UID: "u", Condition: condition}, `{"metadata":{"uid":"u"},` +
			`"status":{"conditions":[{"type":"kaloom.com/NetworksAttached","status":"True","reason":"Attached",` +
			`"lastTransitionTime":null}]}}`},
		"the annotation": {StatusPatch{UID: "u", NetworkStatus: &status, ResourceVersion: "7"}, `{"metadata":` +
			`{"annotations":{"k8s.v1.cni.cncf.io/network-status":"[]"},"resourceVersion":"7","uid":"u"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			patched, err := c.PatchStatus(t.Context(), "tenant", "app", test.patch)
			if err != nil || patched != (PatchedStatus{"8", "[{}]"}) {
				t.Errorf("got %+v, %v", patched, err)
			}
			if sent != path+test.want || kind != "application/strategic-merge-patch+json" {
				t.Errorf("sent %s\nwant %s", sent, path+test.want)
			}
		})
	}
	t.Run("both", func(t *testing.T) {
		both := StatusPatch{UID: "u", Condition: condition, NetworkStatus: &status}
		if _, err := c.PatchStatus(t.Context(), "tenant", "app", both); err != nil {
			t.Fatal(err)
		}
		var object struct{ Metadata, Status map[string]any }
		if err := json.Unmarshal([]byte(sent[len(path):]), &object); err != nil ||
			object.Metadata["annotations"] == nil || object.Status["conditions"] == nil {
			t.Errorf("sent %s, %v", sent, err)
		}
	})
}

func TestClient_PatchStatus_Errors(t *testing.T) {
	c := serve(t, respond(http.StatusConflict, `{"kind": "Status", "message": "modified"}`),
		respond(http.StatusOK, `<html>`)).client(t)
	_, err := c.PatchStatus(t.Context(), "tenant", "app", StatusPatch{})
	if failed := failure(t, err); failed.Status != http.StatusConflict {
		t.Errorf("got %v", err)
	}
	if patched, err := c.PatchStatus(t.Context(), "tenant", "app", StatusPatch{}); err == nil {
		t.Errorf("got %+v", patched)
	}
}
