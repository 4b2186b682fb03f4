package kube

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
)

// transport trusts whom the account trusts. What it holds of answers before they are read is bounded: net/http's own bounds are
// megabytes for each of the Networks that are read at once.
func (a account) transport() (*http.Transport, error) {
	config := &tls.Config{ServerName: a.serverName, InsecureSkipVerify: a.insecure}
	if len(a.ca) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(a.ca) {
			return nil, errors.New("certificate-authority: there is no certificate in it")
		}
	}
	if len(a.cert) > 0 {
		pair, err := tls.X509KeyPair(a.cert, a.key)
		if err != nil {
			return nil, fmt.Errorf("client-certificate, client-key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	proxy := http.ProxyFromEnvironment
	if a.proxy != nil {
		proxy = http.ProxyURL(a.proxy)
	}
	return &http.Transport{
		Proxy:                  proxy,
		TLSClientConfig:        config,
		ForceAttemptHTTP2:      true,
		MaxResponseHeaderBytes: maxHeader,
		HTTP2:                  &http.HTTP2Config{MaxReceiveBufferPerStream: maxUnread, MaxReceiveBufferPerConnection: 4 * maxUnread},
	}, nil
}

// header says who asks.
func (a account) header(userAgent string) http.Header {
	h := http.Header{"User-Agent": {userAgent}}
	switch {
	case a.username != "":
		h.Set("Authorization", "Basic "+string(a.secret()))
	case a.token != "":
		h.Set("Authorization", "Bearer "+a.token)
	}
	return h
}

// stay: an apiserver redirects nobody, and the token would be sent wherever it sends us.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// disconnect closes the connections that nobody uses: one that died in silence must not be used again.
func (c *Client) disconnect() { c.http.CloseIdleConnections() }
