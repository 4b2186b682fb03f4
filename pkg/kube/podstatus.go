package kube

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	nettypes "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/strictjson"
)

// A StatusPatch is what one request changes of a Pod.
type StatusPatch struct {
	// UID is the Pod's. Another Pod of the same name is left alone.
	UID string
	// Condition is a condition to set, whatever the others are; nil for none.
	Condition *Condition
	// NetworkStatus is the annotation network-status; nil leaves it as it is.
	NetworkStatus *string
	// ResourceVersion must be the Pod's, unless it is empty.
	ResourceVersion string
}

// A PatchedStatus is what a Pod has once a StatusPatch is made.
type PatchedStatus struct{ ResourceVersion, NetworkStatus string }

// PatchStatus sends one request that changes the status of a Pod. The error is an *Error, whose
// Status is 404 if there is no such Pod, 409 if the Pod has another resource version, and 422 if it
// has another UID.
func (c *Client) PatchStatus(ctx context.Context, namespace, name string, patch StatusPatch) (PatchedStatus, error) {
	const partial = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
	target := c.base.JoinPath("api", "v1", "namespaces", url.PathEscape(namespace),
		"pods", url.PathEscape(name), "status")
	encoded, err := json.Marshal(patch.object())
	if err != nil {
		return PatchedStatus{}, &Error{Doing: "encode the request to PATCH " + target.Path, Cause: err}
	}
	body, err := c.send(ctx, sent{
		method: http.MethodPatch, target: target, accept: partial, body: encoded,
		contentType: "application/strategic-merge-patch+json",
	})
	if err != nil {
		return PatchedStatus{}, err
	}
	var pod struct {
		Metadata struct {
			ResourceVersion string            `json:"resourceVersion"`
			Annotations     map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	if err := strictjson.Decode(body, &pod); err != nil {
		return PatchedStatus{}, c.decodeError(target, err)
	}
	return PatchedStatus{pod.Metadata.ResourceVersion, pod.Metadata.Annotations[nettypes.NetworkStatusAnnot]}, nil
}

// object returns the patch as a strategic merge patch.
func (p StatusPatch) object() map[string]any {
	metadata := map[string]any{"uid": p.UID}
	object := map[string]any{"metadata": metadata}
	if p.ResourceVersion != "" {
		metadata["resourceVersion"] = p.ResourceVersion
	}
	if p.NetworkStatus != nil {
		metadata["annotations"] = map[string]string{nettypes.NetworkStatusAnnot: *p.NetworkStatus}
	}
	if p.Condition != nil {
		object["status"] = map[string]any{"conditions": []Condition{*p.Condition}}
	}
	return object
}
