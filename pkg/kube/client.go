// Package kube asks the apiserver what an ADD needs to know: a Pod's metadata, and Networks.
package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// Client reads from one apiserver.
type Client struct {
	http *http.Client
	base *url.URL
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
	config, err := load(kubeconfig)
	if err != nil {
		return nil, err
	}
	config.UserAgent = userAgent
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, &Error{Doing: "use the credentials of " + source(kubeconfig), Cause: err}
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, &Error{Doing: "use the server's URL of " + source(kubeconfig), Cause: err}
	}
	if base.Path == "" {
		base.Path = "/"
	}
	return &Client{http: httpClient, base: base, perTry: attemptTimeout, pause: 50 * time.Millisecond, room: newRoom(maxAnswers)}, nil
}

func load(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		config, err := rest.InClusterConfig()
		if err != nil {
			return nil, &Error{Doing: "use in-cluster credentials (the netconf has no kubeconfig)", Cause: err}
		}
		return config, nil
	}
	file, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		return nil, &Error{Doing: "read the kubeconfig " + kubeconfig, Cause: redact(err)}
	}
	config, err := clientcmd.NewDefaultClientConfig(*file, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, &Error{Doing: "use the kubeconfig " + kubeconfig, Cause: err}
	}
	return config, nil
}

func source(kubeconfig string) string {
	if kubeconfig == "" {
		return "the cluster"
	}
	return "the kubeconfig " + kubeconfig
}

// Pod reads a Pod's metadata. The error is an *Error.
func (c *Client) Pod(ctx context.Context, namespace, name string) (*metav1.PartialObjectMetadata, error) {
	const accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
	path := c.base.JoinPath("api", "v1", "namespaces", url.PathEscape(namespace), "pods", url.PathEscape(name))
	body, err := c.get(ctx, path, accept)
	if err != nil {
		return nil, err
	}
	var pod metav1.PartialObjectMetadata
	if err := json.Unmarshal(body, &pod); err != nil {
		return nil, &Error{Doing: "read what GET " + path.Path + " answered", Path: path.Path, Status: http.StatusOK, Cause: err}
	}
	if pod.Kind != "PartialObjectMetadata" || pod.Name != name {
		return nil, &Error{Doing: "read what GET " + path.Path + " answered", Path: path.Path, Status: http.StatusOK,
			Cause: fmt.Errorf("it is the %.64s %.64q, not the metadata of that Pod", pod.Kind, pod.Name)}
	}
	return &pod, nil
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
		err = fmt.Errorf("it is %.64q, not that Network", n.Name)
	}
	if err != nil {
		return network.Network{}, &Error{Doing: "read what GET " + path.Path + " answered", Path: path.Path, Status: http.StatusOK, Cause: err}
	}
	return n, nil
}
