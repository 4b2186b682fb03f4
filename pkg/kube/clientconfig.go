package kube

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// clientConfig holds the address of an apiserver and the credentials for it.
type clientConfig struct {
	// rest has how to trust the server and what identifies the user, but for what plugin fetches.
	rest   *rest.Config
	server *url.URL
	proxy  *url.URL // nil: what the environment says
	token  string   // when it was read
	plugin *execPlugin
}

// accountDir is where a Pod has the credentials of its service account.
const accountDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// inCluster returns the configuration that every Pod of the cluster has, with the files ca.crt and
// token in dir.
func inCluster(dir string) (clientConfig, error) {
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return clientConfig{}, errors.New("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT: must both be set")
	}
	return newClientConfig(
		&api.Cluster{Server: "https://" + net.JoinHostPort(host, port), CertificateAuthority: dir + "/ca.crt"},
		&api.AuthInfo{TokenFile: dir + "/token"})
}

// newClientConfig returns the configuration for a server and a user, both of which it may change.
// Relative paths have been resolved.
//
// What can never work is found here, with an error that names the key: clientcmd passes over some
// of it, quotes values, which may be secrets, in its errors, and leaves the rest to requests.
func newClientConfig(cluster *api.Cluster, user *api.AuthInfo) (clientConfig, error) {
	var config clientConfig
	if err := errors.Join(config.setCluster(cluster, user), config.setUser(user)); err != nil {
		return config, err
	}
	const name = "current"
	whole := api.Config{
		Clusters:  map[string]*api.Cluster{name: cluster},
		AuthInfos: map[string]*api.AuthInfo{name: user},
		Contexts:  map[string]*api.Context{name: {Cluster: name, AuthInfo: name}},
	}
	var err error
	if config.rest, err = clientcmd.NewNonInteractiveClientConfig(whole, name, nil, nil).ClientConfig(); err != nil {
		return config, errInvalid
	}
	if config.proxy != nil {
		config.rest.Proxy = http.ProxyURL(config.proxy)
	}
	if config.rest.BearerTokenFile != "" {
		config.rest.BearerToken = config.token // without the white space around it
	}
	return config, config.takePlugin()
}

// setCluster takes the server and the proxy from c, and checks how to trust the server.
func (config *clientConfig) setCluster(c *api.Cluster, user *api.AuthInfo) (err error) {
	authority, err := checkFile("certificate-authority", &c.CertificateAuthority, c.CertificateAuthorityData)
	if err != nil {
		return err
	}
	if len(authority) > 0 && !x509.NewCertPool().AppendCertsFromPEM(authority) {
		return errors.New("certificate-authority: no PEM certificate found")
	}
	if c.InsecureSkipTLSVerify && len(authority) > 0 {
		return errors.New("insecure-skip-tls-verify: cannot be combined with a certificate authority")
	}
	if name := strings.Trim(c.TLSServerName, "[]"); name != "" && !isHost(name) {
		return errors.New("tls-server-name: must be the name or the IP address of a host")
	}
	hasCert := user.ClientCertificate != "" || len(user.ClientCertificateData) > 0
	isTLS := len(authority) > 0 || c.InsecureSkipTLSVerify || c.TLSServerName != "" || hasCert
	if config.server, err = parseServer(c.Server, isTLS); err != nil {
		return err
	}
	c.Server = config.server.String()
	if c.ProxyURL != "" {
		config.proxy, err = parseURL("proxy-url", c.ProxyURL, "http", "https", "socks5", "socks5h")
		c.ProxyURL = "" // clientcmd does not know socks5h
	}
	return err
}

// parseServer parses the address of a server. Without a scheme, it is what isTLS says: clientcmd
// would send plain HTTP, and none of the credentials, even to a server whose authority it has.
func parseServer(text string, isTLS bool) (*url.URL, error) {
	u, _, err := rest.DefaultServerURL(text, "", schema.GroupVersion{}, isTLS)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("server: must be a URL with scheme http or https, or a host and a port")
	}
	if u.User != nil {
		return nil, errors.New("server: must be a URL without user information")
	}
	u.RawQuery, u.Fragment = "", ""
	return u, checkAddress("server", u)
}

// setUser takes the token from u, and checks all that identifies the user.
func (config *clientConfig) setUser(u *api.AuthInfo) (err error) {
	if u.AuthProvider != nil {
		return errors.New("auth-provider: not supported, use exec, a token or a client certificate")
	}
	cert, err := checkFile("client-certificate", &u.ClientCertificate, u.ClientCertificateData)
	if err != nil {
		return err
	}
	key, err := checkFile("client-key", &u.ClientKey, u.ClientKeyData)
	if err != nil {
		return err
	}
	if (len(cert) == 0) != (len(key) == 0) {
		return errors.New("client-certificate, client-key: both are required")
	}
	if config.token, err = readToken(u); err != nil {
		return err
	}
	if (u.Username != "" || u.Password != "") && config.token != "" {
		return errors.New("username, password, token: only a password or a token may be set")
	}
	if err := checkPassword(u.Username, u.Password); err != nil {
		return err
	}
	if err := checkImpersonation(u); err != nil {
		return err
	}
	return checkExec(u.Exec)
}

// readToken returns the bearer token; empty where there is none. That of a file counts first.
func readToken(u *api.AuthInfo) (string, error) {
	content, err := checkFile("tokenFile", &u.TokenFile, nil)
	if err != nil || u.TokenFile == "" {
		return u.Token, errors.Join(err, checkToken("token", u.Token))
	}
	token := strings.TrimSpace(string(content))
	if token == "" {
		return "", errors.New("tokenFile: has no token")
	}
	return token, checkToken("tokenFile", token)
}

// checkFile returns the data or, where there is none, the content of the file at the path. Where
// there is data, it clears the path, because clientcmd does not accept both.
func checkFile(key string, path *string, data []byte) ([]byte, error) {
	if len(data) > 0 {
		*path = ""
	}
	if *path == "" {
		return data, nil
	}
	content, err := os.ReadFile(*path)
	if err == nil && len(content) == 0 {
		err = errors.New("empty file")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: read %s: %w", key, *path, withoutPath(err))
	}
	return content, nil
}

// checkImpersonation returns an error if no request can ask to act as the user that u names.
func checkImpersonation(u *api.AuthInfo) error {
	errs := []error{checkHeaderValue("as", u.Impersonate), checkHeaderValue("as-uid", u.ImpersonateUID)}
	for _, group := range u.ImpersonateGroups {
		errs = append(errs, checkHeaderValue("as-groups", group))
	}
	for _, values := range u.ImpersonateUserExtra {
		errs = append(errs, checkHeaderValue("as-user-extra", strings.Join(values, "")))
	}
	if u.Impersonate == "" && (u.ImpersonateUID != "" || len(u.ImpersonateGroups)+len(u.ImpersonateUserExtra) > 0) {
		errs = append(errs, errors.New("as: must be set beside as-uid, as-groups or as-user-extra"))
	}
	return errors.Join(errs...)
}
