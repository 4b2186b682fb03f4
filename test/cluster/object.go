package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// An Object is a Kubernetes object, with the fields that tests use.
type Object struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   ObjectMetadata `json:"metadata"`
	Spec       any            `json:"spec,omitempty"`
}

// ObjectMetadata is the metadata of an Object.
type ObjectMetadata struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace,omitempty"`
	UID         string            `json:"uid,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Create creates an object as the administrator and returns it as the apiserver has it. The path is
// that of the collection, such as /api/v1/namespaces/default/pods.
func (cp *ControlPlane) Create(ctx context.Context, path string, object Object) (Object, error) {
	body, err := json.Marshal(object)
	if err != nil {
		return Object{}, fmt.Errorf("creating the %s %s: %w", object.Kind, object.Metadata.Name, err)
	}
	status, answer, err := cp.Do(ctx, http.MethodPost, path, "", body)
	if err == nil && status != http.StatusCreated {
		err = fmt.Errorf("status %d: %s", status, answer)
	}
	var created Object
	if err == nil {
		err = json.Unmarshal(answer, &created)
	}
	if err != nil {
		return Object{}, fmt.Errorf("creating the %s %s: %w", object.Kind, object.Metadata.Name, err)
	}
	return created, nil
}
