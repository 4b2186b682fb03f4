package kube

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// transport returns an HTTP transport for the server and the credentials of c, through the proxy,
// unless that is nil. It bounds what is
// buffered of responses: net/http's own limits are megabytes for each Network that is being read.
func (c clientConfig) transport(proxy *url.URL) (*http.Transport, error) {
	config := &tls.Config{ServerName: c.serverName, InsecureSkipVerify: c.insecure}
	if len(c.ca) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(c.ca) {
			return nil, errors.New("certificate-authority: no PEM certificate found")
		}
	}
	if len(c.cert) > 0 {
		pair, err := tls.X509KeyPair(c.cert, c.key)
		if err != nil {
			return nil, fmt.Errorf("client-certificate, client-key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return &http.Transport{
		Proxy:                  http.ProxyURL(proxy),
		OnProxyConnectResponse: checkConnect,
		TLSClientConfig:        config,
		ForceAttemptHTTP2:      true,
		MaxResponseHeaderBytes: maxHeader,
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream:     maxBuffered,
			MaxReceiveBufferPerConnection: 4 * maxBuffered,
		},
	}, nil
}

// header returns the header of every request.
func (c clientConfig) header(userAgent string) http.Header {
	h := http.Header{"User-Agent": {userAgent}}
	switch {
	case c.username != "":
		h.Set("Authorization", "Basic "+c.credentials())
	case c.token != "":
		h.Set("Authorization", "Bearer "+c.token)
	}
	return h
}

// noRedirect makes a redirect an error response. An apiserver sends none, and the token must not go
// to another server.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// disconnect closes idle connections, so that one that died silently is not used again.
func (c *Client) disconnect() { c.http.CloseIdleConnections() }
