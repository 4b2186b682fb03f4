package kube

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// account is where the apiserver is, and who asks it.
type account struct {
	server *url.URL
	proxy  *url.URL // nil: what the environment says

	serverName string // that the server's certificate is for; empty: the server's host
	insecure   bool
	ca         []byte // PEM, as the next two; empty: the authorities that the node trusts
	cert, key  []byte

	token, username, password string
}

// file is what kactus reads of a kubeconfig. The library for the whole of it took a fifth of kactus's start to load: it also runs programs for
// credentials, which kactus does not do for each Pod.
type file struct {
	APIVersion     string        `json:"apiVersion,omitempty"`
	Kind           string        `json:"kind,omitempty"`
	CurrentContext string        `json:"current-context"`
	Clusters       []fileCluster `json:"clusters"`
	Users          []fileUser    `json:"users"`
	Contexts       []fileContext `json:"contexts"`
}

type fileContext struct {
	Name    string `json:"name"`
	Context struct {
		Cluster string `json:"cluster"`
		User    string `json:"user"`
	} `json:"context"`
}

type fileCluster struct {
	Name    string  `json:"name"`
	Cluster cluster `json:"cluster"`
}

type cluster struct {
	Server     string `json:"server"`
	ServerName string `json:"tls-server-name,omitempty"`
	Insecure   bool   `json:"insecure-skip-tls-verify,omitempty"`
	CAFile     string `json:"certificate-authority,omitempty"`
	CA         []byte `json:"certificate-authority-data,omitempty"`
	Proxy      string `json:"proxy-url,omitempty"`
}

type fileUser struct {
	Name string `json:"name"`
	User user   `json:"user"`
}

type user struct {
	Token        string `json:"token,omitempty"`
	TokenFile    string `json:"tokenFile,omitempty"`
	CertFile     string `json:"client-certificate,omitempty"`
	Cert         []byte `json:"client-certificate-data,omitempty"`
	KeyFile      string `json:"client-key,omitempty"`
	Key          []byte `json:"client-key-data,omitempty"`
	Username     string `json:"username,omitempty"`
	Password     string `json:"password,omitempty"`
	Exec         any    `json:"exec,omitempty"`
	AuthProvider any    `json:"auth-provider,omitempty"`
	As           string `json:"as,omitempty"`
}

// Kubeconfig is the content of a kubeconfig with that server, that certificate authority (PEM) and that bearer token.
func Kubeconfig(server string, ca []byte, token string) ([]byte, error) {
	const name = "kactus"
	f := file{APIVersion: "v1", Kind: "Config", CurrentContext: name, Contexts: []fileContext{{Name: name}}}
	f.Clusters = []fileCluster{{Name: name, Cluster: cluster{Server: server, CA: ca}}}
	f.Users = []fileUser{{Name: name, User: user{Token: token}}}
	f.Contexts[0].Context.Cluster, f.Contexts[0].Context.User = name, name
	return yaml.Marshal(f)
}

// readKubeconfig reads the current context of a kubeconfig. No error quotes what is in it.
func readKubeconfig(path string) (account, error) {
	fail := func(doing string, err error) (account, error) {
		return account{}, &Error{Doing: doing + " the kubeconfig " + path, Cause: err}
	}
	if err := checkOwner(path); err != nil {
		return fail("read", err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fail("read", withoutPath(err))
	}
	var f file
	if err := yaml.Unmarshal(data, &f); err != nil || f.APIVersion != "" && f.APIVersion != "v1" || f.Kind != "" && f.Kind != "Config" {
		return fail("read", errors.New("it is not a kubeconfig (its content is not quoted here: kubectl config view --kubeconfig=FILE says what is wrong)"))
	}
	a, err := f.account(filepath.Dir(path))
	if err != nil {
		return fail("use", err)
	}
	return a, nil
}

// account is the current context's; the files that it names are relative to the folder dir.
func (f file) account(dir string) (account, error) {
	context, ok := find(f.Contexts, func(c fileContext) bool { return c.Name == f.CurrentContext })
	if !ok {
		return account{}, errors.New("its current-context is none of its contexts")
	}
	of, ok := find(f.Clusters, func(c fileCluster) bool { return c.Name == context.Context.Cluster })
	if !ok {
		return account{}, errors.New("the cluster of its current-context is none of its clusters")
	}
	by, ok := find(f.Users, func(u fileUser) bool { return u.Name == context.Context.User })
	if !ok {
		return account{}, errors.New("the user of its current-context is none of its users")
	}
	var a account
	return a, errors.Join(of.Cluster.into(&a, dir), by.User.into(&a, dir))
}

func find[T any](all []T, is func(T) bool) (found T, ok bool) {
	for _, t := range all {
		if is(t) {
			return t, true
		}
	}
	return found, false
}

func (c cluster) into(a *account, dir string) (err error) {
	if a.server, err = parseURL("server", c.Server, "http", "https"); err != nil {
		return err
	}
	if c.Proxy != "" {
		if a.proxy, err = parseURL("proxy-url", c.Proxy, "http", "https", "socks5"); err != nil {
			return err
		}
	}
	a.serverName, a.insecure = c.ServerName, c.Insecure
	if a.ca, err = content("certificate-authority", c.CA, c.CAFile, dir); err != nil {
		return err
	}
	if c.Insecure && len(a.ca) > 0 {
		return errors.New("insecure-skip-tls-verify: there is a certificate authority too")
	}
	return nil
}

// parseURL does not quote what is wrong: it may hold a password.
func parseURL(key, text string, schemes ...string) (*url.URL, error) {
	if u, err := url.Parse(text); err == nil && u.Host != "" && (key != "server" || u.User == nil) {
		for _, scheme := range schemes {
			if u.Scheme == scheme {
				return u, nil
			}
		}
	}
	return nil, fmt.Errorf("%s: it is not a URL of %s, or names a user where none may be", key, strings.Join(schemes, " or "))
}

func (u user) into(a *account, dir string) (err error) {
	switch {
	case u.Exec != nil:
		return errors.New("exec: kactus runs no program for credentials: use a token, or a client certificate")
	case u.AuthProvider != nil:
		return errors.New("auth-provider: kactus knows none: use a token, or a client certificate")
	case u.As != "":
		return errors.New("as: kactus acts for nobody else")
	}
	if a.cert, err = content("client-certificate", u.Cert, u.CertFile, dir); err != nil {
		return err
	}
	if a.key, err = content("client-key", u.Key, u.KeyFile, dir); err != nil {
		return err
	}
	if (len(a.cert) == 0) != (len(a.key) == 0) {
		return errors.New("client-certificate, client-key: one is there without the other")
	}
	a.username, a.password = u.Username, u.Password
	a.token = u.Token
	if u.TokenFile != "" {
		token, err := content("tokenFile", nil, u.TokenFile, dir)
		if err != nil {
			return err
		}
		a.token = strings.TrimSpace(string(token))
	}
	if a.username != "" && a.token != "" {
		return errors.New("username, token: there are both")
	}
	return nil
}

// content is data, or, where there is none, that of the file.
func content(key string, data []byte, path, dir string) ([]byte, error) {
	if len(data) > 0 || path == "" {
		return data, nil
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	data, err := os.ReadFile(path)
	if err == nil && len(data) == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: read %s: %w", key, path, withoutPath(err))
	}
	return data, nil
}

// inCluster is the account that a Pod of the cluster has.
func inCluster() (account, error) {
	const dir = "/var/run/secrets/kubernetes.io/serviceaccount"
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return account{}, &Error{Doing: "use in-cluster credentials (the netconf has no kubeconfig)", Cause: errors.New("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not both set")}
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	var a account
	err := errors.Join(
		cluster{Server: "https://" + host + ":" + port, CAFile: "ca.crt"}.into(&a, dir),
		user{TokenFile: "token"}.into(&a, dir),
	)
	if err != nil {
		return account{}, &Error{Doing: "use in-cluster credentials (the netconf has no kubeconfig)", Cause: err}
	}
	return a, nil
}
