// Package kube asks the apiserver what an ADD needs to know: a Pod's metadata, and Networks.
package kube

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	kjson "sigs.k8s.io/json"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// Client reads from one apiserver.
type Client struct {
	http *http.Client
	base *url.URL
	sent *credentials
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
	sent := &credentials{}
	config.Wrap(func(rt http.RoundTripper) http.RoundTripper {
		bound(rt)
		sent.RoundTripper = rt
		return sent
	})
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, &Error{Doing: "use the credentials of " + source(kubeconfig), Cause: err}
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, &Error{Doing: "use the server's URL of " + source(kubeconfig), Cause: withoutUsers(err, config.Host)}
	}
	if base.Path == "" {
		base.Path = "/"
	}
	return &Client{
		http:   &http.Client{Transport: transport, CheckRedirect: stay},
		base:   base,
		sent:   sent,
		perTry: attemptTimeout,
		pause:  50 * time.Millisecond,
		room:   newRoom(maxAnswers),
	}, nil
}

// stay: an apiserver redirects nobody, and client-go would send the token wherever it is sent.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// disconnect closes the connections that nobody uses: one that died in silence must not be used again.
func (c *Client) disconnect() { utilnet.CloseIdleConnectionsFor(c.http.Transport) }

func load(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		config, err := rest.InClusterConfig()
		if err != nil {
			return nil, &Error{Doing: "use in-cluster credentials (the netconf has no kubeconfig)", Cause: err}
		}
		return config, nil
	}
	if err := checkOwner(kubeconfig); err != nil {
		return nil, &Error{Doing: "read the kubeconfig " + kubeconfig, Cause: err}
	}
	file, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		return nil, &Error{Doing: "read the kubeconfig " + kubeconfig, Cause: redact(err)}
	}
	config, err := clientcmd.NewDefaultClientConfig(*file, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, &Error{Doing: "use the kubeconfig " + kubeconfig, Cause: withoutUsers(err, urls(file)...)}
	}
	return config, nil
}

func urls(config *clientcmdapi.Config) []string {
	var all []string
	for _, cluster := range config.Clusters {
		all = append(all, cluster.Server, cluster.ProxyURL)
	}
	return all
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
	pod, err := parsePod(body)
	if err == nil && (pod.Kind != "PartialObjectMetadata" || pod.Name != name) {
		err = fmt.Errorf("it is the %.64s %.64q, not the metadata of that Pod", c.sent.secret().hide(pod.Kind), c.sent.secret().hide(pod.Name))
	}
	if err != nil {
		return nil, &Error{Doing: "read what GET " + path.Path + " answered", Path: path.Path, Status: http.StatusOK, Cause: err}
	}
	return pod, nil
}

// parsePod takes of the metadata what an ADD needs. The rest, of which there may be much, costs no memory.
func parsePod(body []byte) (*metav1.PartialObjectMetadata, error) {
	var answer struct {
		Kind     string `json:"kind"`
		Metadata struct {
			Name        string            `json:"name"`
			Namespace   string            `json:"namespace"`
			UID         types.UID         `json:"uid"`
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(body, &answer); err != nil {
		return nil, err
	}
	m := answer.Metadata
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{Kind: answer.Kind},
		ObjectMeta: metav1.ObjectMeta{Name: m.Name, Namespace: m.Namespace, UID: m.UID, Annotations: m.Annotations},
	}, nil
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
		err = fmt.Errorf("it is %.64q, not that Network", c.sent.secret().hide(n.Name))
	}
	if err != nil {
		return network.Network{}, &Error{Doing: "read what GET " + path.Path + " answered", Path: path.Path, Status: http.StatusOK, Cause: err}
	}
	return n, nil
}
