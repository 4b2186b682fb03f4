package install

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

func (i *Installer) kubeconfigPath() string {
	return filepath.Join(i.ConfDir, "kactus.d", "kactus-kubeconfig.yaml")
}

// kubeconfig holds the token itself: the file that the token is in is the container's, and not to be seen from the node. Tokens expire,
// so whoever installs must come back when there is a new one.
func (i *Installer) kubeconfig() (*Change, error) {
	token, err := os.ReadFile(filepath.Join(i.ServiceAccount, "token"))
	if err != nil {
		return nil, fmt.Errorf("read the service account's token: %w", err)
	}
	ca, err := os.ReadFile(filepath.Join(i.ServiceAccount, "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("read the certificate authority: %w", err)
	}
	if len(strings.TrimSpace(string(token))) == 0 {
		return nil, errors.New("the service account's token is empty")
	}
	const name = "kactus"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: i.Server, CertificateAuthorityData: ca}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: strings.TrimSpace(string(token))}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	content, err := clientcmd.Write(*config)
	if err != nil {
		return nil, fmt.Errorf("make the kubeconfig: %w", err)
	}
	return put(i.kubeconfigPath(), content, 0o600)
}
