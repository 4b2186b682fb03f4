package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

const statusAnnotation = "k8s.v1.cni.cncf.io/network-status"

// ofMetadata and the others return a patch.
func ofMetadata(fields string) string { return `{"metadata": {` + fields + `}}` }
func ofAnnotations(annotations string) string {
	return ofMetadata(`"annotations": {` + annotations + `}`)
}
func ofLabels(labels string) string         { return ofMetadata(`"labels": {` + labels + `}`) }
func ofStatus(fields string) string         { return `{"status": {` + fields + `}}` }
func ofConditions(conditions string) string { return ofStatus(`"conditions": [` + conditions + `]`) }

func conditionJSON(kind, status string) string {
	return fmt.Sprintf(`{"type": %q, "status": %q, "reason": "Some", "message": "network: cause"}`, kind, status)
}

// What a kubelet has written, and what the agent writes.
var (
	kubeletFields = `"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]`
	kubeletStatus = ofStatus(kubeletFields + `, "conditions": [` + conditionJSON("Ready", "True") + `, ` +
		conditionJSON("PodScheduled", "True") + `]`)
	statusWithOwn = ofStatus(kubeletFields + `, "conditions": [` + conditionJSON("Ready", "True") + `, ` +
		conditionJSON("kaloom.com/NetworksAttached", "False") + `, ` + conditionJSON("PodScheduled", "True") + `]`)
	emptyStatus = ofStatus(`"conditions": null`)

	ownAnnotation = `"` + statusAnnotation + `": "[]"`
	ownCondition  = conditionJSON("kaloom.com/NetworksAttached", "True")
	both          = `{"metadata": {"annotations": {` + ownAnnotation + `}}, ` +
		`"status": {"conditions": [` + ownCondition + `]}}`
)

// newPodOn creates a Pod on a node, with that status, and returns its path.
func newPodOn(t *testing.T, namespace, node, status string) string {
	t.Helper()
	name := fmt.Sprintf("pod-%d", kactustest.NextNumber())
	kactustest.Create(t, kactustest.PodsPath(namespace), agentPod(name, node, "default"))
	path := kactustest.PodsPath(namespace) + "/" + name
	kactustest.Patch(t, path, ofMetadata(`"labels": {"app": "app"}, "finalizers": ["example.com/kept"]`))
	kactustest.Patch(t, path+"/status", status)
	return path
}

// TestAgentPolicy applies the policy and the rights in the node agent's manifest to a real
// apiserver.
func TestAgentPolicy(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	agent := installAgent(t)
	first := newPodOn(t, tn.Namespace, "n1", kubeletStatus)
	kactustest.Eventually(t, "the rights and the policy are enforced", func() bool {
		dryRun := first + "/status?dryRun=All"
		code, answer := agent.do(t, http.MethodPatch, dryRun, mergePatch, ofLabels(`"app": "other"`))
		good, _ := agent.do(t, http.MethodPatch, dryRun, mergePatch, ofAnnotations(ownAnnotation))
		return code == http.StatusForbidden && strings.Contains(answer, "'kactus-agent' with binding") &&
			good == http.StatusOK
	})
	t.Run("allows", func(t *testing.T) { agentMay(t, tn.Namespace, agent) })
	t.Run("allows what the agent sends", func(t *testing.T) { agentSends(t, tn, agent) })
	t.Run("denies", func(t *testing.T) { agentMayNot(t, tn.Namespace, agent) })
	t.Run("gives no right to", func(t *testing.T) { agentHasNoRight(t, tn.Namespace, agent) })
	t.Run("gives the rights to", func(t *testing.T) { agentHasRight(t, tn.Namespace, agent) })
	t.Run("goes by the node of the token", func(t *testing.T) { agentNodes(t, tn.Namespace, agent) })
	t.Run("leaves others alone", func(t *testing.T) {
		kactustest.Patch(t, first+"/status", ofLabels(`"app": "other"`))
		kactustest.Patch(t, first+"/status", ofStatus(`"phase": "Failed"`))
	})
}

func agentMay(t *testing.T, namespace string, agent agentUser) {
	many := make([]string, 2000)
	for i := range many {
		many[i] = fmt.Sprintf(`"example.com/annotation-%d": "value"`, i)
	}
	old := ofAnnotations(`"` + statusAnnotation + `": "old"`)
	const removed = `"` + statusAnnotation + `": null`
	apply := `{"apiVersion": "v1", "kind": "Pod", ` + ofAnnotations(ownAnnotation)[1:]
	for what, test := range map[string]struct{ status, patchedPod, contentType, patch string }{
		"the annotation by a merge patch":           {kubeletStatus, "", mergePatch, ofAnnotations(ownAnnotation)},
		"the annotation by a strategic merge patch": {kubeletStatus, "", strategicPatch, ofAnnotations(ownAnnotation)},
		"the annotation by a server-side apply":     {kubeletStatus, "", applyPatch, apply},
		"a change of the annotation":                {kubeletStatus, old, mergePatch, ofAnnotations(ownAnnotation)},
		"the removal of the annotation":             {kubeletStatus, old, mergePatch, ofAnnotations(removed)},
		"the first annotation of a Pod": {kubeletStatus, ofMetadata(`"annotations": null`), mergePatch,
			ofAnnotations(ownAnnotation)},
		"one annotation among thousands": {kubeletStatus, ofAnnotations(strings.Join(many, ", ")), mergePatch,
			ofAnnotations(ownAnnotation)},
		"the condition":                    {kubeletStatus, "", strategicPatch, ofConditions(ownCondition)},
		"the first condition of a Pod":     {emptyStatus, "", strategicPatch, ofConditions(ownCondition)},
		"the annotation and the condition": {kubeletStatus, "", strategicPatch, both},
		"a change of the condition":        {statusWithOwn, "", strategicPatch, both},
		"a Pod without labels": {kubeletStatus, ofMetadata(`"labels": null, "finalizers": null`),
			strategicPatch, both},
	} {
		t.Run(what, func(t *testing.T) {
			path := newPodOn(t, namespace, "n1", test.status)
			if test.patchedPod != "" {
				kactustest.Patch(t, path, test.patchedPod)
			}
			if code, answer := agent.patchStatus(t, path, test.contentType, test.patch); code != http.StatusOK {
				t.Errorf("status %d: %s", code, answer)
			}
		})
	}
	t.Run("a Pod that is being deleted", func(t *testing.T) {
		path := newPodOn(t, namespace, "n1", kubeletStatus)
		kactustest.Do(t, http.MethodDelete, path, nil, http.StatusOK)
		if code, answer := agent.patchStatus(t, path, strategicPatch, both); code != http.StatusOK {
			t.Errorf("status %d: %s", code, answer)
		}
	})
	t.Run("nothing of the spec, nor owners, which the apiserver passes over", func(t *testing.T) {
		path := newPodOn(t, namespace, "n1", kubeletStatus)
		const owner = `{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "x"}`
		patch := `{"metadata": {"annotations": {` + ownAnnotation + `}, "ownerReferences": [` + owner + `]}, ` +
			`"spec": {"activeDeadlineSeconds": 1, "nodeName": "n2"}}`
		code, answer := agent.patchStatus(t, path, mergePatch, patch)
		if code != http.StatusOK || strings.Contains(answer, "activeDeadline") ||
			strings.Contains(answer, "ownerReferences") || !strings.Contains(answer, `"nodeName":"n1"`) {
			t.Errorf("status %d: %s", code, answer)
		}
	})
}

// agentSends sends what the agent sends.
func agentSends(t *testing.T, tn *kactustest.Tenant, agent agentUser) {
	client, err := kube.New(tn.NewKubeconfig(t, "policy", agent.token), "kactus-agent/test")
	kactustest.Must(t, err)
	condition := &kube.Condition{
		Type: "kaloom.com/NetworksAttached", Status: "True", Reason: "Attached", LastTransitionTime: metav1.Now(),
	}
	value := "[{}]"
	for what, test := range map[string]struct {
		node  string
		patch kube.StatusPatch
		want  int
	}{
		"the condition":  {"n1", kube.StatusPatch{Condition: condition}, 0},
		"the annotation": {"n1", kube.StatusPatch{NetworkStatus: &value, ResourceVersion: "now"}, 0},
		"both": {"n1",
			kube.StatusPatch{Condition: condition, NetworkStatus: &value, ResourceVersion: "now"}, 0},
		"over an older version":      {"n1", kube.StatusPatch{NetworkStatus: &value, ResourceVersion: "older"}, 409},
		"of another Pod of the name": {"n1", kube.StatusPatch{UID: "other", Condition: condition}, 422},
		"of a Pod of another node":   {"n2", kube.StatusPatch{NetworkStatus: &value, ResourceVersion: "now"}, 403},
	} {
		t.Run(what, func(t *testing.T) {
			path := newPodOn(t, tn.Namespace, test.node, kubeletStatus)
			var pod struct {
				Metadata struct{ Name, UID, ResourceVersion string }
			}
			kactustest.Must(t, json.Unmarshal(kactustest.Do(t, http.MethodGet, path, nil, http.StatusOK), &pod))
			patch := test.patch
			patch.UID = cmp.Or(patch.UID, pod.Metadata.UID)
			switch patch.ResourceVersion {
			case "now":
				patch.ResourceVersion = pod.Metadata.ResourceVersion
			case "older":
				patch.ResourceVersion = pod.Metadata.ResourceVersion
				kactustest.Patch(t, path, ofLabels(`"app": "newer"`))
			}
			patched, err := client.PatchStatus(t.Context(), tn.Namespace, pod.Metadata.Name, patch)
			var failed *kube.Error
			if test.want != 0 {
				if !errors.As(err, &failed) || failed.Status != test.want {
					t.Errorf("got %+v, %v; want status %d", patched, err, test.want)
				}
				return
			}
			if err != nil || patched.ResourceVersion == pod.Metadata.ResourceVersion ||
				(patched.NetworkStatus == value) != (patch.NetworkStatus != nil) {
				t.Errorf("got %+v, %v", patched, err)
			}
		})
	}
}

// A deniedPatch is one that the policy denies.
type deniedPatch struct{ contentType, patch string }

func agentMayNot(t *testing.T, namespace string, agent agentUser) {
	for field, patches := range map[string]map[string]deniedPatch{
		"annotations": {
			"another annotation":                 {mergePatch, ofAnnotations(`"networks": "[{}]"`)},
			"a new annotation":                   {mergePatch, ofAnnotations(`"new": ""`)},
			"the removal of another annotation":  {mergePatch, ofAnnotations(`"owner": null`)},
			"the removal of all annotations":     {mergePatch, ofMetadata(`"annotations": null`)},
			"an annotation whose name begins so": {mergePatch, ofAnnotations(`"` + statusAnnotation + `2": ""`)},
			"an annotation beside its own":       {mergePatch, ofAnnotations(ownAnnotation + `, "new": ""`)},
			"an annotation by an apply": {applyPatch,
				`{"apiVersion": "v1", "kind": "Pod", ` + ofAnnotations(`"new": ""`)[1:]},
		},
		"metadata": {
			"a new label":               {mergePatch, ofLabels(`"new": ""`)},
			"another label":             {mergePatch, ofLabels(`"app": "other"`)},
			"the removal of a label":    {mergePatch, ofLabels(`"app": null`)},
			"the removal of all labels": {mergePatch, ofMetadata(`"labels": null`)},
			"a finalizer":               {mergePatch, ofMetadata(`"finalizers": ["example.com/kept", "a.b/c"]`)},
			"the removal of finalizers": {mergePatch, ofMetadata(`"finalizers": null`)},
			"a generateName":            {mergePatch, ofMetadata(`"generateName": "x"`)},
		},
		"status": {
			"the phase":                       {mergePatch, ofStatus(`"phase": "Failed"`)},
			"a reason":                        {mergePatch, ofStatus(`"reason": "Evicted"`)},
			"the removal of the IP addresses": {mergePatch, ofStatus(`"podIP": null, "podIPs": null`)},
			"other IP addresses":              {mergePatch, ofStatus(`"podIP": "10.0.0.2", "podIPs": [{"ip": "::2"}]`)},
			"the state of a container": {mergePatch, ofStatus(`"containerStatuses": [{"name": "c", "image": "i", ` +
				`"imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}}]`)},
			"the phase beside its own": {strategicPatch,
				ofStatus(`"phase": "Failed", "conditions": [` + ownCondition + `]`)},
		},
		"conditions": {
			"another condition": {strategicPatch, ofConditions(conditionJSON("Ready", "False"))},
			"a new condition":   {strategicPatch, ofConditions(conditionJSON("example.com/New", "True"))},
			"a condition whose type begins so": {strategicPatch,
				ofConditions(conditionJSON("kaloom.com/NetworksAttached2", "True"))},
			"the removal of another condition": {strategicPatch, ofConditions(`{"$patch": "delete", "type": "Ready"}`)},
			"the removal of all conditions":    {mergePatch, ofConditions("")},
			"its own in place of the others":   {mergePatch, ofConditions(ownCondition)},
			"another order of the conditions": {mergePatch,
				ofConditions(conditionJSON("PodScheduled", "True") + `, ` + conditionJSON("Ready", "True"))},
		},
	} {
		for what, test := range patches {
			t.Run(what, func(t *testing.T) { test.isDenied(t, namespace, agent, field) })
		}
	}
}

func (test deniedPatch) isDenied(t *testing.T, namespace string, agent agentUser, field string) {
	path := newPodOn(t, namespace, "n1", kubeletStatus)
	before := kactustest.Do(t, http.MethodGet, path, nil, http.StatusOK)
	code, answer := agent.patchStatus(t, path, test.contentType, test.patch)
	want := "'kactus-agent' denied request: of the " + field
	if code != http.StatusForbidden || !strings.Contains(answer, want) {
		t.Errorf("status %d: %s; want %s", code, answer, want)
	}
	if after := kactustest.Do(t, http.MethodGet, path, nil, http.StatusOK); !bytes.Equal(after, before) {
		t.Errorf("the Pod was %s, and is %s", before, after)
	}
}

func agentHasNoRight(t *testing.T, namespace string, agent agentUser) {
	path := newPodOn(t, namespace, "n1", kubeletStatus)
	const policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
	for what, test := range map[string]struct{ method, path, contentType string }{
		"change the Pod itself":       {http.MethodPatch, path, mergePatch},
		"replace the status":          {http.MethodPut, path + "/status", plainJSON},
		"change the resources":        {http.MethodPatch, path + "/resize", mergePatch},
		"add an ephemeral container":  {http.MethodPatch, path + "/ephemeralcontainers", mergePatch},
		"delete a Pod":                {http.MethodDelete, path, plainJSON},
		"evict a Pod":                 {http.MethodPost, path + "/eviction", plainJSON},
		"execute in a Pod":            {http.MethodPost, path + "/exec?command=sh", plainJSON},
		"create a Pod":                {http.MethodPost, kactustest.PodsPath(namespace), plainJSON},
		"create a Network":            {http.MethodPost, kactustest.NetworksPath(namespace), plainJSON},
		"change a Network":            {http.MethodPatch, kactustest.NetworksPath(namespace) + "/n", mergePatch},
		"list Networks":               {http.MethodGet, kactustest.NetworksPath(namespace), plainJSON},
		"get a token":                 {http.MethodPost, agentTokenPath, plainJSON},
		"read Secrets":                {http.MethodGet, "/api/v1/namespaces/" + namespace + "/secrets", plainJSON},
		"read a Node":                 {http.MethodGet, "/api/v1/nodes/n1", plainJSON},
		"read the policy":             {http.MethodGet, policies + "/kactus-agent", plainJSON},
		"delete the policy":           {http.MethodDelete, policies + "/kactus-agent", plainJSON},
		"write events of the old API": {http.MethodPost, "/api/v1/namespaces/" + namespace + "/events", plainJSON},
	} {
		t.Run(what, func(t *testing.T) {
			code, answer := agent.do(t, test.method, test.path, test.contentType, "{}")
			if code != http.StatusForbidden || !strings.Contains(answer, "cannot ") {
				t.Errorf("status %d: %s", code, answer)
			}
		})
	}
}

func agentHasRight(t *testing.T, namespace string, agent agentUser) {
	path := newPodOn(t, namespace, "n1", kubeletStatus)
	event := `{"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"}, "type": "Normal", ` +
		`"eventTime": "2026-01-01T00:00:00.000000Z", "reason": "AddedInterface", "action": "Add", ` +
		`"reportingController": "kaloom.com/kactus-agent", "reportingInstance": "n1", ` +
		`"regarding": {"namespace": "` + namespace + `"}}`
	const series = `{"series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"}}`
	events := "/apis/events.k8s.io/v1/namespaces/" + namespace + "/events"
	for _, test := range []struct {
		what, method, path, contentType, body string
		want                                  int
	}{
		{"list the Pods of a node", http.MethodGet, "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1", "", "", 200},
		{"get a Pod", http.MethodGet, path, "", "", 200},
		{"get a Network", http.MethodGet, kactustest.NetworksPath(namespace) + "/missing", "", "", 404},
		{"write an event", http.MethodPost, events, plainJSON, event, 201},
		{"make it a series", http.MethodPatch, events + "/e", mergePatch, series, 200},
	} {
		t.Run(test.what, func(t *testing.T) {
			if code, answer := agent.do(t, test.method, test.path, test.contentType, test.body); code != test.want {
				t.Errorf("status %d: %s", code, answer)
			}
		})
	}
}

func agentNodes(t *testing.T, namespace string, agent agentUser) {
	const bound, elsewhere = "must be bound to a node", "must be on the node"
	unit, nobody := newUnitUser(t, "n1"), newAgentUser(t, "", "")
	for what, test := range map[string]struct {
		user       agentUser
		node, want string
	}{
		"a Pod's token, a Pod of its node":      {agent, "n1", ""},
		"a Pod's token, a Pod of another node":  {agent, "n2", elsewhere},
		"a Pod's token, a Pod without a node":   {agent, "", elsewhere},
		"a Node's token, a Pod of that node":    {unit, "n1", ""},
		"a Node's token, a Pod of another node": {unit, "n2", elsewhere},
		"a token without a node":                {nobody, "n1", bound},
		"a token and a Pod without a node":      {nobody, "", bound},
	} {
		t.Run(what, func(t *testing.T) {
			path := newPodOn(t, namespace, test.node, kubeletStatus)
			code, answer := test.user.patchStatus(t, path, strategicPatch, both)
			if test.want == "" && code != http.StatusOK ||
				test.want != "" && (code != http.StatusForbidden || !strings.Contains(answer, test.want)) {
				t.Errorf("status %d: %s; want %q", code, answer, test.want)
			}
		})
	}
}
