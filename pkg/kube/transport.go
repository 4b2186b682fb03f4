package kube

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
)

// handshakeTimeout is how long a server may take that has accepted a connection: without it, a
// watch would wait for ever for one that is silent.
const handshakeTimeout = 10 * time.Second

// httpClient returns an HTTP client for the server, with the user's credentials in each request,
// through the proxy, unless that is nil. It notes what it sends of the credentials in secrets.
//
// The transport is not client-go's own, which buffers megabytes for each Network that is being
// read, and reads as the apiserver what a proxy answers. What client-go adds to each request is
// around it.
func (config clientConfig) httpClient(userAgent string, proxy *url.URL, secrets *secrets) (*http.Client, error) {
	tlsConfig, err := config.tlsConfig()
	if err != nil {
		return nil, err
	}
	var rt http.RoundTripper = &guard{secrets: secrets, RoundTripper: &http.Transport{
		Proxy:                  http.ProxyURL(proxy),
		OnProxyConnectResponse: checkConnect,
		TLSClientConfig:        tlsConfig,
		DisableCompression:     config.rest.DisableCompression,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    handshakeTimeout,
		MaxResponseHeaderBytes: maxHeader,
		HTTP2: &http.HTTP2Config{
			// A watch hears nothing for minutes: without a ping, it would wait as long for a server
			// that is gone.
			SendPingTimeout:               30 * time.Second,
			PingTimeout:                   15 * time.Second,
			MaxReceiveBufferPerStream:     maxBuffered,
			MaxReceiveBufferPerConnection: 4 * maxBuffered,
		},
	}}
	if config.plugin != nil {
		rt = &withPlugin{RoundTripper: rt, plugin: config.plugin}
	}
	config.rest.UserAgent = userAgent
	if rt, err = rest.HTTPWrappersForConfig(config.rest, rt); err != nil {
		return nil, err
	}
	return &http.Client{Transport: rt, CheckRedirect: noRedirect}, nil
}

// tlsConfig returns how the server is trusted, and the client certificate; nil where neither is
// configured. A client certificate in files is read again for each connection.
func (config clientConfig) tlsConfig() (*tls.Config, error) {
	tlsConfig, err := rest.TLSConfigFor(config.rest)
	if err == nil && tlsConfig != nil && tlsConfig.GetClientCertificate != nil {
		_, err = tlsConfig.GetClientCertificate(&tls.CertificateRequestInfo{})
	}
	if err != nil { // the authority is known to be one
		return nil, fmt.Errorf("client-certificate, client-key: %w", err)
	}
	if config.plugin != nil {
		tlsConfig = cmp.Or(tlsConfig, &tls.Config{})
		tlsConfig.GetClientCertificate = config.plugin.certificate
	}
	return tlsConfig, nil
}

// A guard is the last to see a request, with the credentials that others have added to it, and
// which may have changed since the Client was made.
type guard struct {
	http.RoundTripper
	secrets *secrets
}

// RoundTrip notes the credentials as a secret. The error is errUnsendable if no request can have
// such a header.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	_, credentials, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	g.secrets.add(credentials)
	for name, values := range req.Header {
		for _, value := range values {
			if err := checkHeaderValue(name, value); err != nil {
				closeBody(req)
				return nil, fmt.Errorf("%w: %w", errUnsendable, err)
			}
		}
	}
	return g.RoundTripper.RoundTrip(req)
}

// WrappedRoundTripper is for closing idle connections.
func (g *guard) WrappedRoundTripper() http.RoundTripper { return g.RoundTripper }

// closeBody closes a request's body, as a RoundTripper must also if it fails.
func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// noRedirect makes a redirect an error response. An apiserver sends none, and the token must not go
// to another server.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// disconnect closes idle connections, so that one that died silently is not used again.
func (c *Client) disconnect() { utilnet.CloseIdleConnectionsFor(c.http.Transport) }
