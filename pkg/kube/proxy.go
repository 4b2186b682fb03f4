package kube

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// proxySchemes are those of the proxies that net/http speaks to, with their default ports.
var proxySchemes = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}

// proxyURL returns the proxy between kactus and the server: that of the kubeconfig, else that of
// the environment; nil where there is none.
func (c clientConfig) proxyURL() (*url.URL, error) {
	if c.proxy != nil {
		return c.proxy, nil
	}
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: c.server})
	if proxy == nil && err == nil {
		return nil, nil
	}
	key := strings.ToUpper(c.server.Scheme) + "_PROXY"
	// What is not a URL is taken for a host, and then has its own "//" in the path. Neither err nor
	// the value is quoted, since it may hold a password.
	if err != nil || proxySchemes[proxy.Scheme] == "" || strings.HasPrefix(proxy.Path, "//") {
		return nil, fmt.Errorf("%s: must be the URL of an HTTP or a SOCKS proxy", key)
	}
	return proxy, checkAddress(key, proxy)
}

// proxyAddress returns the host and the port of a proxy, and empty for nil. A user's name or
// password is not part of it.
func proxyAddress(proxy *url.URL) string {
	if proxy == nil {
		return ""
	}
	return net.JoinHostPort(proxy.Hostname(), cmp.Or(proxy.Port(), proxySchemes[proxy.Scheme]))
}

// proxyCredentials returns what the Proxy-Authorization header carries after its scheme.
func proxyCredentials(proxy *url.URL) string {
	if proxy == nil || proxy.User == nil {
		return ""
	}
	password, _ := proxy.User.Password()
	return base64.StdEncoding.EncodeToString([]byte(proxy.User.Username() + ":" + password))
}

// A refusal is a proxy's answer that it does not connect kactus with the apiserver.
type refusal struct {
	proxy  string // host and port
	status int
}

// Error names the proxy and the HTTP status.
func (r *refusal) Error() string {
	return fmt.Sprintf("the proxy %s answered CONNECT with %d %s", r.proxy, r.status, http.StatusText(r.status))
}

// checkConnect returns a refusal unless the proxy's answer to CONNECT is a success. It is for
// http.Transport, whose own error has the text of the status alone, which reads as the apiserver's.
func checkConnect(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return &refusal{proxy: proxyAddress(proxy), status: resp.StatusCode}
}

// blameProxy notes in failed that a proxy is in the way, unless the apiserver itself is known to
// have answered, or the cause names the proxy already.
func (c *Client) blameProxy(failed *Error) {
	var refused *refusal
	var status *statusError
	var plugin *pluginError
	if c.proxy == "" || errors.As(failed.Cause, &refused) || errors.As(failed.Cause, &status) ||
		errors.As(failed.Cause, &plugin) || errors.Is(failed.Cause, errUnsendable) {
		return
	}
	failed.Proxy, failed.byProxy = c.proxy, c.base.Scheme == "http" // TLS leads to the apiserver
}
