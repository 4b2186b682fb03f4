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
		if config.proxy, err = parseURL("proxy-url", c.Proxy, "http", "https", "socks5", "socks5h"); err != nil {
			return err
		}
	}
	config.serverName, config.insecure = c.ServerName, c.Insecure
	if name := strings.Trim(c.ServerName, "[]"); name != "" && !isHost(name) {
		return errors.New("tls-server-name: must be the name or the IP address of a host")
	}
	if config.ca, err = dataOrFile("certificate-authority", c.CA, c.CAFile, dir); err != nil {
		return err
	}
	if c.Insecure && len(config.ca) > 0 {
		return errors.New("insecure-skip-tls-verify: cannot be combined with a certificate authority")
	}
	return nil
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
	if config.token, err = u.token(dir); err != nil {
		return err
	}
	if config.username != "" && config.token != "" {
		return errors.New("username, token: only one may be set")
	}
	return checkPassword(config.username, config.password)
}

// token returns the bearer token; empty where there is none. A relative path is below dir.
func (u user) token(dir string) (string, error) {
	if u.TokenFile == "" {
		return u.Token, checkToken("token", u.Token)
	}
	content, err := dataOrFile("tokenFile", "", u.TokenFile, dir)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(content))
	if token == "" {
		return "", errors.New("tokenFile: has no token")
	}
	return token, checkToken("tokenFile", token)
}

// dataOrFile returns the data, which is base64, or, where there is none, the content of the file at
// path.
func dataOrFile(key, data, path, dir string) ([]byte, error) {
	if data != "" || path == "" {
		return decodeBase64(key+"-data", data)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	content, err := os.ReadFile(path)
	if err == nil && len(content) == 0 {
		err = errors.New("empty file")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: read %s: %w", key, path, withoutPath(err))
	}
	return content, nil
}
