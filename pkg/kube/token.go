package kube

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/strictjson"
)

// NewWithToken returns a Client for the apiserver at a URL, with a certificate authority in PEM and
// a bearer token. It opens no connection; Close closes those that the Client has opened. The error
// is an *Error.
func NewWithToken(server string, ca []byte, token, userAgent string) (*Client, error) {
	cluster := &api.Cluster{Server: server, CertificateAuthorityData: ca}
	config, err := newClientConfig(cluster, &api.AuthInfo{Token: token})
	if err != nil {
		return nil, &Error{Doing: "use the service account at " + server, Cause: err}
	}
	c, err := config.client(userAgent)
	if err != nil {
		return nil, &Error{Doing: "use the service account at " + server, Cause: err}
	}
	return c, nil
}

// Close closes the connections that no request is using.
func (c *Client) Close() { c.disconnect() }

// A TokenRequest asks for a token of a service account.
type TokenRequest struct {
	Namespace, Account string
	// Node is the name of the Node that the token is bound to: it becomes invalid with that object.
	// Empty: it is bound to no object.
	Node string
	// Lifetime is what to ask for. The apiserver may issue a token with another one.
	Lifetime time.Duration
}

// RequestToken sends one request for a token with the apiserver's default audiences. The error is
// an *Error.
func (c *Client) RequestToken(ctx context.Context, r TokenRequest) (string, error) {
	spec := map[string]any{"expirationSeconds": int64(r.Lifetime / time.Second)}
	if r.Node != "" {
		spec["boundObjectRef"] = map[string]string{"apiVersion": "v1", "kind": "Node", "name": r.Node}
	}
	request, err := json.Marshal(map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec,
	})
	target := c.base.JoinPath("api", "v1", "namespaces", url.PathEscape(r.Namespace),
		"serviceaccounts", url.PathEscape(r.Account), "token")
	if err != nil {
		return "", &Error{Doing: "encode the request to POST " + target.Path, Cause: err}
	}
	body, err := c.send(ctx, sent{method: http.MethodPost, target: target, body: request})
	if err != nil {
		return "", err
	}
	var answer struct {
		Status struct {
			Token string `json:"token"`
		} `json:"status"`
	}
	err = strictjson.Decode(body, &answer)
	if err == nil && answer.Status.Token == "" {
		err = errors.New("no token in the response")
	}
	if err == nil {
		err = checkToken("status.token", answer.Status.Token)
	}
	if err != nil {
		return "", &Error{Doing: "decode the response to POST " + target.Path, Path: target.Path, Cause: err}
	}
	return answer.Status.Token, nil
}

// PodCreated sends one request for the time when a Pod was created. The error is an *Error.
func (c *Client) PodCreated(ctx context.Context, namespace, name string) (time.Time, error) {
	const accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
	target := c.base.JoinPath("api", "v1", "namespaces", url.PathEscape(namespace), "pods", url.PathEscape(name))
	body, err := c.send(ctx, sent{method: http.MethodGet, target: target, accept: accept})
	if err != nil {
		return time.Time{}, err
	}
	var pod struct {
		Metadata struct {
			CreationTimestamp time.Time `json:"creationTimestamp"`
		} `json:"metadata"`
	}
	err = strictjson.Decode(body, &pod)
	if err == nil && pod.Metadata.CreationTimestamp.IsZero() {
		err = errors.New("no creationTimestamp in the response")
	}
	if err != nil {
		return time.Time{}, c.decodeError(target, err)
	}
	return pod.Metadata.CreationTimestamp, nil
}

// Authenticate sends one request that needs no rights. The error is an *Error, whose Status is 401
// if the apiserver rejects the credentials.
func (c *Client) Authenticate(ctx context.Context) error {
	_, err := c.send(ctx, sent{method: http.MethodGet, target: c.base.JoinPath("version")})
	return err
}
