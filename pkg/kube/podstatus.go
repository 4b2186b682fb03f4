package kube

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/strictjson"
)

// SetCondition sends one request that sets a condition of a Pod, whatever the others are. It
// returns the Pod's new resource version. The error is an *Error, whose Status is 404 or 409 if the
// Pod of that UID is gone.
func (c *Client) SetCondition(ctx context.Context, namespace, name, uid string, condition Condition) (string, error) {
	const partial = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
	target := c.base.JoinPath("api", "v1", "namespaces", url.PathEscape(namespace),
		"pods", url.PathEscape(name), "status")
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": uid},
		"status":   map[string]any{"conditions": []Condition{condition}},
	})
	if err != nil {
		return "", &Error{Doing: "encode the request to PATCH " + target.Path, Cause: err}
	}
	body, err := c.send(ctx, sent{
		method: http.MethodPatch, target: target, accept: partial, body: patch,
		contentType: "application/strategic-merge-patch+json",
	})
	if err != nil {
		return "", err
	}
	var pod struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
	}
	if err := strictjson.Decode(body, &pod); err != nil {
		return "", c.decodeError(target, err)
	}
	return pod.Metadata.ResourceVersion, nil
}
