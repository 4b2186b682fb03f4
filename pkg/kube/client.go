package kube

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/budget"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/strictjson"
)

// A Client reads from one apiserver. It is safe for concurrent use.
type Client struct {
	http *http.Client // adds the credentials to each request
	base *url.URL
	// proxy is the host and port of the proxy in the way; empty for none.
	proxy   string
	secrets *secrets
	// attemptTimeout bounds one request; firstPause is the longest pause before the second.
	attemptTimeout, firstPause time.Duration
	budget                     *budget.Budget
}

// defaultAttemptTimeout bounds one request. A distant apiserver needs most of a second; a
// connection that died silently would take forever.
const defaultAttemptTimeout = 10 * time.Second

// New returns a Client with the credentials of the kubeconfig file or, where that is empty, of the
// Pod that it runs in. It opens no connection. The error is an *Error.
func New(kubeconfig, userAgent string) (*Client, error) {
	config, err := load(kubeconfig)
	if err != nil {
		return nil, err
	}
	c, err := config.client(userAgent)
	if err != nil {
		return nil, &Error{Doing: "use the credentials of " + source(kubeconfig), Cause: err}
	}
	return c, nil
}

// InCluster returns a Client with the credentials of the Pod that it runs in, which are the files
// ca.crt and token in dir. It is for a process that does not see them at their usual place, and has
// a descriptor of that directory: dir may be a path below /proc/self/fd. A token that is renewed is
// read again. InCluster opens no connection. The error is an *Error.
func InCluster(dir, userAgent string) (*Client, error) {
	config, err := inCluster(dir)
	var c *Client
	if err == nil {
		c, err = config.client(userAgent)
	}
	if err != nil {
		return nil, &Error{Doing: "use in-cluster credentials", Cause: err}
	}
	return c, nil
}

func (c clientConfig) client(userAgent string) (*Client, error) {
	if err := checkHeaderValue("User-Agent", userAgent); err != nil {
		return nil, err
	}
	proxy, err := c.proxyURL()
	if err != nil {
		return nil, err
	}
	secrets := &secrets{}
	secrets.add(c.token)
	secrets.add(proxyCredentials(proxy))
	httpClient, err := c.httpClient(userAgent, proxy, secrets)
	if err != nil {
		return nil, err
	}
	return &Client{
		http:           httpClient,
		base:           c.server.JoinPath("/"),
		proxy:          proxyAddress(proxy),
		secrets:        secrets,
		attemptTimeout: defaultAttemptTimeout,
		firstPause:     50 * time.Millisecond,
		budget:         budget.New(maxResponses),
	}, nil
}

func load(kubeconfig string) (clientConfig, error) {
	if kubeconfig != "" {
		return readKubeconfig(kubeconfig)
	}
	config, err := inCluster(accountDir)
	if err != nil {
		return config, &Error{Doing: "use in-cluster credentials (the netconf has no kubeconfig)", Cause: err}
	}
	return config, nil
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
	target := c.base.JoinPath("api", "v1", "namespaces", url.PathEscape(namespace), "pods", url.PathEscape(name))
	body, err := c.get(ctx, target, accept)
	if err != nil {
		return Pod{}, err
	}
	pod, err := c.parsePod(body, name)
	if err != nil {
		return Pod{}, c.decodeError(target, err)
	}
	return pod, nil
}

// parsePod decodes only the fields that an ADD needs. The rest, such as managedFields, can be large
// and takes no memory.
func (c *Client) parsePod(body []byte, name string) (Pod, error) {
	var object struct {
		Kind     string `json:"kind"`
		Metadata struct {
			Name        string            `json:"name"`
			Namespace   string            `json:"namespace"`
			UID         string            `json:"uid"`
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	if err := strictjson.Decode(body, &object); err != nil {
		return Pod{}, err
	}
	if m := object.Metadata; object.Kind == "PartialObjectMetadata" && m.Name == name {
		return Pod{Name: m.Name, Namespace: m.Namespace, UID: m.UID, Annotations: m.Annotations}, nil
	}
	return Pod{}, fmt.Errorf("got kind %.64q, name %.64q, not the metadata of the Pod",
		c.secrets.redact(object.Kind), c.secrets.redact(object.Metadata.Name))
}

// Network reads a Network. The error is an *Error.
func (c *Client) Network(ctx context.Context, namespace, name string) (network.Network, error) {
	target := c.base.JoinPath("apis", "kaloom.com", "v1",
		"namespaces", url.PathEscape(namespace), "networks", url.PathEscape(name))
	return c.network(ctx, target, name, network.Parse)
}

// NetworkAttachmentDefinition reads an object of that kind. The error is an *Error.
func (c *Client) NetworkAttachmentDefinition(ctx context.Context, namespace, name string) (network.Network, error) {
	target := c.base.JoinPath("apis", "k8s.cni.cncf.io", "v1",
		"namespaces", url.PathEscape(namespace), "network-attachment-definitions", url.PathEscape(name))
	return c.network(ctx, target, name, network.ParseNPWGObject)
}

func (c *Client) network(
	ctx context.Context, target *url.URL, name string, parse func([]byte) (network.Network, error),
) (network.Network, error) {
	body, err := c.get(ctx, target, "application/json")
	if err != nil {
		return network.Network{}, err
	}
	n, err := parse(body)
	if err == nil && n.Name != name {
		err = fmt.Errorf("got the object %.64q", c.secrets.redact(n.Name))
	}
	if err != nil {
		return network.Network{}, c.decodeError(target, err)
	}
	return n, nil
}

func (c *Client) decodeError(target *url.URL, cause error) *Error {
	return &Error{
		Doing:  "decode the response to GET " + target.Path,
		Path:   target.Path,
		Status: http.StatusOK,
		Cause:  cause,
		Proxy:  c.proxy,
	}
}
