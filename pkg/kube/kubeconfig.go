package kube

import (
	"encoding/base64"
	"errors"
	"net/url"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"
)

// kubeconfigFile is what kactus reads of a kubeconfig. The library that reads all of it took a
// fifth of kactus's start to load, and runs programs for credentials, which kactus does not do.
type kubeconfigFile struct {
	APIVersion     string         `json:"apiVersion,omitempty"`
	Kind           string         `json:"kind,omitempty"`
	CurrentContext string         `json:"current-context"`
	Clusters       []namedCluster `json:"clusters"`
	Users          []namedUser    `json:"users"`
	Contexts       []namedContext `json:"contexts"`
}

type namedContext struct {
	Name    string `json:"name"`
	Context struct {
		Cluster string `json:"cluster"`
		User    string `json:"user"`
	} `json:"context"`
}

type namedCluster struct {
	Name    string  `json:"name"`
	Cluster cluster `json:"cluster"`
}

type cluster struct {
	Server     string `json:"server"`
	ServerName string `json:"tls-server-name,omitempty"`
	Insecure   bool   `json:"insecure-skip-tls-verify,omitempty"`
	CAFile     string `json:"certificate-authority,omitempty"`
	CA         string `json:"certificate-authority-data,omitempty"` // base64, as are Cert and Key
	Proxy      string `json:"proxy-url,omitempty"`
}

type namedUser struct {
	Name string `json:"name"`
	User user   `json:"user"`
}

type user struct {
	Token        string `json:"token,omitempty"`
	TokenFile    string `json:"tokenFile,omitempty"`
	CertFile     string `json:"client-certificate,omitempty"`
	Cert         string `json:"client-certificate-data,omitempty"`
	KeyFile      string `json:"client-key,omitempty"`
	Key          string `json:"client-key-data,omitempty"`
	Username     string `json:"username,omitempty"`
	Password     string `json:"password,omitempty"`
	Exec         any    `json:"exec,omitempty"`
	AuthProvider any    `json:"auth-provider,omitempty"`
	As           string `json:"as,omitempty"`
}

// Kubeconfig returns the content of a kubeconfig for the apiserver at a URL, with a certificate
// authority in PEM and a bearer token.
func Kubeconfig(server string, ca []byte, token string) ([]byte, error) {
	const name = "kactus"
	f := kubeconfigFile{APIVersion: "v1", Kind: "Config", CurrentContext: name, Contexts: []namedContext{{Name: name}}}
	encoded := base64.StdEncoding.EncodeToString(ca)
	f.Clusters = []namedCluster{{Name: name, Cluster: cluster{Server: server, CA: encoded}}}
	f.Users = []namedUser{{Name: name, User: user{Token: token}}}
	f.Contexts[0].Context.Cluster, f.Contexts[0].Context.User = name, name
	return yaml.Marshal(f)
}

// Token returns the bearer token of a kubeconfig's current context; empty where that has none. The
// error is an *Error.
func Token(kubeconfig string) (string, error) {
	config, err := readKubeconfig(kubeconfig)
	return config.token, err
}

// HasServer reports whether a kubeconfig's current context is for the apiserver at a URL.
func HasServer(kubeconfig, server string) bool {
	config, err := readKubeconfig(kubeconfig)
	if err != nil {
		return false
	}
	u, err := url.Parse(server)
	return err == nil && *u == *config.server
}

// readKubeconfig reads the current context of a kubeconfig. No error quotes the content.
func readKubeconfig(path string) (clientConfig, error) {
	fail := func(doing string, err error) (clientConfig, error) {
		return clientConfig{}, &Error{Doing: doing + " the kubeconfig " + path, Cause: err}
	}
	if err := checkOwner(path); err != nil {
		return fail("read", err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fail("read", withoutPath(err))
	}
	var f kubeconfigFile
	if err := yaml.Unmarshal(data, &f); err != nil || !f.isKubeconfig() {
		return fail("read", errors.New("not a valid kubeconfig (kubectl config view --kubeconfig=FILE shows why)"))
	}
	config, err := f.current(filepath.Dir(path))
	if err != nil {
		return fail("use", err)
	}
	return config, nil
}

// isKubeconfig reports whether f has the API version and kind of a kubeconfig. Both may be omitted.
func (f kubeconfigFile) isKubeconfig() bool {
	return (f.APIVersion == "" || f.APIVersion == "v1") && (f.Kind == "" || f.Kind == "Config")
}

// current returns the client configuration of the current context. Relative paths are below dir.
func (f kubeconfigFile) current(dir string) (clientConfig, error) {
	context, ok := find(f.Contexts, func(c namedContext) bool { return c.Name == f.CurrentContext })
	if !ok {
		return clientConfig{}, errors.New("current-context: no such context")
	}
	cluster, ok := find(f.Clusters, func(c namedCluster) bool { return c.Name == context.Context.Cluster })
	if !ok {
		return clientConfig{}, errors.New("current-context: no such cluster")
	}
	user, ok := find(f.Users, func(u namedUser) bool { return u.Name == context.Context.User })
	if !ok {
		return clientConfig{}, errors.New("current-context: no such user")
	}
	var config clientConfig
	err := errors.Join(config.setCluster(cluster.Cluster, dir), config.setUser(user.User, dir))
	return config, err
}

func find[T any](all []T, match func(T) bool) (found T, ok bool) {
	for _, t := range all {
		if match(t) {
			return t, true
		}
	}
	return found, false
}
