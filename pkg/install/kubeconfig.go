package install

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
)

func (i *Installer) kubeconfigPath() string {
	return filepath.Join(i.ConfDir, "kactus.d", "kactus-kubeconfig.yaml")
}

// kubeconfig has the token itself, because the token's file exists only in the installer's
// container. The token expires, so the installer must write the kubeconfig again for the next one.
func (i *Installer) kubeconfig() (*Change, error) {
	token, err := i.token()
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(filepath.Join(i.ServiceAccount, "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("read the certificate authority: %w", err)
	}
	content, err := kube.Kubeconfig(i.Server, ca, token)
	if err != nil {
		return nil, fmt.Errorf("encode the kubeconfig: %w", err)
	}
	return put(i.kubeconfigPath(), content, 0o600)
}
