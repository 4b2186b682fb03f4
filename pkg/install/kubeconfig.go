package install

import (
	"fmt"
	"path/filepath"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
)

func (i *Installer) kubeconfigPath() string {
	return filepath.Join(i.ConfDir, "kactus.d", "kactus-kubeconfig.yaml")
}

// nodeToken returns the token of the node's kubeconfig, and "" if there is none.
func (i *Installer) nodeToken() string {
	token, _ := kube.Token(i.kubeconfigPath())
	return token
}

// ownToken returns the better one of the installer's tokens.
func (i *Installer) ownToken() (string, error) {
	projected, err := i.projected()
	if requested := i.account.requested; requested != "" && (err != nil || !i.better(projected, requested)) {
		return requested, nil
	}
	return projected, err
}

// kubeconfig returns the Change that gives the node the best token, and the address of the
// apiserver. It keeps a token on the node that is better than the installer's own, and an address
// that may work until the apiserver has answered at the new one.
func (i *Installer) kubeconfig() (*Change, error) {
	token, err := i.ownToken()
	if err != nil {
		return nil, err
	}
	node := i.nodeToken()
	if i.unproven(node) {
		return nil, nil
	}
	if i.better(node, token) {
		token = node
	}
	return i.putKubeconfig(token)
}

// betterKubeconfig is kubeconfig for an installer that does not lead: it only replaces a token.
func (i *Installer) betterKubeconfig() (*Change, error) {
	token, err := i.ownToken()
	node := i.nodeToken()
	if err != nil || i.unproven(node) || !i.better(token, node) {
		return nil, err
	}
	return i.putKubeconfig(token)
}

// unproven reports whether the node may have a kubeconfig that works, for another address than the
// installer's, at which the apiserver has not answered yet.
func (i *Installer) unproven(node string) bool {
	return i.usable(node) && !i.account.reached && !kube.HasServer(i.kubeconfigPath(), i.Server)
}

// putKubeconfig writes the token itself into the kubeconfig, because the token's file exists only
// in the installer's container.
func (i *Installer) putKubeconfig(token string) (*Change, error) {
	ca, err := i.authority()
	if err != nil {
		return nil, err
	}
	content, err := kube.Kubeconfig(i.Server, ca, token)
	if err != nil {
		return nil, fmt.Errorf("encode the kubeconfig: %w", err)
	}
	return put(i.kubeconfigPath(), content, 0o600)
}
