package install

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
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
	content, err := kube.Kubeconfig(i.Server, ca, strings.TrimSpace(string(token)))
	if err != nil {
		return nil, fmt.Errorf("make the kubeconfig: %w", err)
	}
	return put(i.kubeconfigPath(), content, 0o600)
}
