package kube

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// clientConfig holds the address of an apiserver and the credentials for it.
type clientConfig struct {
	server *url.URL
	proxy  *url.URL // nil: what the environment says

	serverName string // in the server's certificate; empty: the server's host
	insecure   bool
	ca         []byte // PEM, as are cert and key; empty: the node's trusted authorities
	cert, key  []byte

	token, username, password string
}

// inCluster returns the configuration that every Pod of the cluster has.
func inCluster() (clientConfig, error) {
	const dir = "/var/run/secrets/kubernetes.io/serviceaccount"
	fail := func(cause error) (clientConfig, error) {
		return clientConfig{}, &Error{Doing: "use in-cluster credentials (the netconf has no kubeconfig)", Cause: cause}
	}
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return fail(errors.New("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT: must both be set"))
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	var config clientConfig
	err := errors.Join(
		config.setCluster(cluster{Server: "https://" + host + ":" + port, CAFile: "ca.crt"}, dir),
		config.setUser(user{TokenFile: "token"}, dir),
	)
	if err != nil {
		return fail(err)
	}
	return config, nil
}

// setCluster takes the server and how to trust it from c. Relative paths are below dir.
func (config *clientConfig) setCluster(c cluster, dir string) (err error) {
	if config.server, err = parseURL("server", c.Server, "http", "https"); err != nil {
		return err
	}
	if config.server.User != nil {
		return errors.New("server: must be a URL without user information")
	}
	if c.Proxy != "" {
		if config.proxy, err = parseURL("proxy-url", c.Proxy, "http", "https", "socks5"); err != nil {
			return err
		}
	}
	config.serverName, config.insecure = c.ServerName, c.Insecure
	if config.ca, err = dataOrFile("certificate-authority", c.CA, c.CAFile, dir); err != nil {
		return err
	}
	if c.Insecure && len(config.ca) > 0 {
		return errors.New("insecure-skip-tls-verify: cannot be combined with a certificate authority")
	}
	return nil
}

// parseURL parses the value of a key. The error does not quote the value, which may hold a
// password.
func parseURL(key, text string, schemes ...string) (*url.URL, error) {
	if u, err := url.Parse(text); err == nil && u.Host != "" {
		for _, scheme := range schemes {
			if u.Scheme == scheme {
				return u, nil
			}
		}
	}
	return nil, fmt.Errorf("%s: must be a URL with scheme %s", key, strings.Join(schemes, " or "))
}

// setUser takes the credentials from u. Relative paths are below dir.
func (config *clientConfig) setUser(u user, dir string) (err error) {
	switch {
	case u.Exec != nil:
		return errors.New("exec: not supported, use a token or a client certificate")
	case u.AuthProvider != nil:
		return errors.New("auth-provider: not supported, use a token or a client certificate")
	case u.As != "":
		return errors.New("as: not supported, kactus does not impersonate users")
	}
	if config.cert, err = dataOrFile("client-certificate", u.Cert, u.CertFile, dir); err != nil {
		return err
	}
	if config.key, err = dataOrFile("client-key", u.Key, u.KeyFile, dir); err != nil {
		return err
	}
	if (len(config.cert) == 0) != (len(config.key) == 0) {
		return errors.New("client-certificate, client-key: both are required")
	}
	config.username, config.password = u.Username, u.Password
	config.token = u.Token
	if u.TokenFile != "" {
		token, err := dataOrFile("tokenFile", nil, u.TokenFile, dir)
		if err != nil {
			return err
		}
		config.token = strings.TrimSpace(string(token))
	}
	if config.username != "" && config.token != "" {
		return errors.New("username, token: only one may be set")
	}
	return nil
}

// dataOrFile returns data or, where there is none, the content of the file at path.
func dataOrFile(key string, data []byte, path, dir string) ([]byte, error) {
	if len(data) > 0 || path == "" {
		return data, nil
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	data, err := os.ReadFile(path)
	if err == nil && len(data) == 0 {
		err = errors.New("empty file")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: read %s: %w", key, path, withoutPath(err))
	}
	return data, nil
}
