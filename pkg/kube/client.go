// Package kube asks the apiserver what an ADD needs to know: a Pod's metadata, and Networks.
package kube

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/strictjson"
)

// Client reads from one apiserver.
type Client struct {
	http *http.Client
	base *url.URL
	// header says who asks.
	header http.Header
	// secret is what is sent as credentials.
	secret secret
	// perTry is how long one request may take, and pause the first pause between two.
	perTry, pause time.Duration
	room          *room
}

// attemptTimeout is how long one request may take before it is tried again: an apiserver far away needs most of a second, a
// connection that died in silence would need for ever.
const attemptTimeout = 10 * time.Second

// New makes a client with the credentials of the kubeconfig file, or, where that is empty, with those that a Pod of the cluster has. It opens
// no connection. The error is an *Error.
func New(kubeconfig, userAgent string) (*Client, error) {
	a, err := load(kubeconfig)
	if err != nil {
		return nil, err
	}
	transport, err := a.transport()
	if err != nil {
		return nil, &Error{Doing: "use the credentials of " + source(kubeconfig), Cause: err}
	}
	return &Client{
		http:   &http.Client{Transport: transport, CheckRedirect: stay},
		base:   a.server.JoinPath("/"),
		header: a.header(userAgent),
		secret: a.secret(),
		perTry: attemptTimeout,
		pause:  50 * time.Millisecond,
		room:   newRoom(maxAnswers),
	}, nil
}

func load(kubeconfig string) (account, error) {
	if kubeconfig == "" {
		return inCluster()
	}
	return readKubeconfig(kubeconfig)
}

func source(kubeconfig string) string {
	if kubeconfig == "" {
		return "the cluster"
	}
	return "the kubeconfig " + kubeconfig
}

// Pod is what an ADD needs of a Pod's metadata.
type Pod struct {
	Name, Namespace, UID string
	Annotations          map[string]string
}

// Pod reads a Pod's metadata. The error is an *Error.
func (c *Client) Pod(ctx context.Context, namespace, name string) (Pod, error) {
	const accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
	path := c.base.JoinPath("api", "v1", "namespaces", url.PathEscape(namespace), "pods", url.PathEscape(name))
	body, err := c.get(ctx, path, accept)
	if err != nil {
		return Pod{}, err
	}
	pod, err := c.parsePod(body, name)
	if err != nil {
		return Pod{}, &Error{Doing: "read what GET " + path.Path + " answered", Path: path.Path, Status: http.StatusOK, Cause: err}
	}
	return pod, nil
}

// parsePod takes of the metadata what an ADD needs. The rest, of which there may be much, costs no memory.
func (c *Client) parsePod(body []byte, name string) (Pod, error) {
	var answer struct {
		Kind     string `json:"kind"`
		Metadata struct {
			Name        string            `json:"name"`
			Namespace   string            `json:"namespace"`
			UID         string            `json:"uid"`
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	if err := strictjson.Decode(body, &answer); err != nil {
		return Pod{}, err
	}
	if m := answer.Metadata; answer.Kind == "PartialObjectMetadata" && m.Name == name {
		return Pod{Name: m.Name, Namespace: m.Namespace, UID: m.UID, Annotations: m.Annotations}, nil
	}
	return Pod{}, fmt.Errorf("it is the %.64s %.64q, not the metadata of that Pod", c.secret.hide(answer.Kind), c.secret.hide(answer.Metadata.Name))
}

// Network reads a Network. The error is an *Error.
func (c *Client) Network(ctx context.Context, namespace, name string) (network.Network, error) {
	path := c.base.JoinPath("apis", "kaloom.com", "v1", "namespaces", url.PathEscape(namespace), "networks", url.PathEscape(name))
	body, err := c.get(ctx, path, "application/json")
	if err != nil {
		return network.Network{}, err
	}
	n, err := network.Parse(body)
	if err == nil && n.Name != name {
		err = fmt.Errorf("it is %.64q, not that Network", c.secret.hide(n.Name))
	}
	if err != nil {
		return network.Network{}, &Error{Doing: "read what GET " + path.Path + " answered", Path: path.Path, Status: http.StatusOK, Cause: err}
	}
	return n, nil
}
