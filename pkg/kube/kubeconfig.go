package kube

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	apiv1 "k8s.io/client-go/tools/clientcmd/api/v1"
	"sigs.k8s.io/yaml"
)

// errInvalid stands for the errors of clientcmd, which quote what they complain about.
var errInvalid = errors.New("not a valid kubeconfig (kubectl config view --kubeconfig=FILE shows why)")

// Kubeconfig returns the content of a kubeconfig for the apiserver at a URL, with a certificate
// authority in PEM and a bearer token.
func Kubeconfig(server string, ca []byte, token string) ([]byte, error) {
	const name = "kactus"
	return clientcmd.Write(api.Config{
		CurrentContext: name,
		Clusters:       map[string]*api.Cluster{name: {Server: server, CertificateAuthorityData: ca}},
		AuthInfos:      map[string]*api.AuthInfo{name: {Token: token}},
		Contexts:       map[string]*api.Context{name: {Cluster: name, AuthInfo: name}},
	})
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
	whole, err := clientcmd.Load(data)
	if err != nil {
		return fail("read", invalid(data))
	}
	cluster, user, err := current(whole, path)
	if err != nil {
		return fail("use", err)
	}
	config, err := newClientConfig(cluster, user)
	if err != nil {
		return fail("use", err)
	}
	return config, nil
}

// current returns the cluster and the user of the current context. Relative paths are below the
// directory of the kubeconfig. A context need not name a user.
func current(whole *api.Config, path string) (*api.Cluster, *api.AuthInfo, error) {
	context := whole.Contexts[whole.CurrentContext]
	if context == nil {
		return nil, nil, errors.New("current-context: no such context")
	}
	cluster := whole.Clusters[context.Cluster]
	if cluster == nil {
		return nil, nil, errors.New("current-context: no such cluster")
	}
	user := whole.AuthInfos[context.AuthInfo]
	switch {
	case user != nil:
	case context.AuthInfo == "":
		user = &api.AuthInfo{}
	default: // clientcmd would send no credentials
		return nil, nil, errors.New("current-context: no such user")
	}
	cluster.LocationOfOrigin, user.LocationOfOrigin = path, path
	err := clientcmd.ResolveLocalPaths(&api.Config{
		Clusters:  map[string]*api.Cluster{"": cluster},
		AuthInfos: map[string]*api.AuthInfo{"": user},
	})
	return cluster, user, err
}

// invalid returns an error that says why clientcmd cannot load a kubeconfig. It names the key whose
// value has a wrong type or is not base64, but not the value.
func invalid(data []byte) error {
	inJSON, err := yaml.YAMLToJSON(data)
	if err != nil {
		return errInvalid
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(json.Unmarshal(inJSON, &apiv1.Config{}), &wrong) && wrong.Field != "" {
		return fmt.Errorf("%s: must be a %s, in quotes if YAML takes it for something else", wrong.Field, wrong.Type)
	}
	var content any
	if json.Unmarshal(inJSON, &content) != nil {
		return errInvalid
	}
	return cmp.Or(findNotBase64(content), errInvalid)
}

// findNotBase64 returns an error that names a key below content whose value should be base64 and is
// not; nil if there is none.
func findNotBase64(content any) error {
	switch content := content.(type) {
	case []any:
		for _, element := range content {
			if err := findNotBase64(element); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(content)) {
			err := findNotBase64(content[key])
			if text, ok := content[key].(string); ok && strings.HasSuffix(key, "-data") {
				err = checkBase64(key, text)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
