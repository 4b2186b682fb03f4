package cluster

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
)

// WriteKubeconfig writes a kubeconfig for the bearer of a token, with mode 0600. The apiserver need
// not know the token. The file is replaced atomically.
func (cp *ControlPlane) WriteKubeconfig(path, token string) error {
	return cp.writeKubeconfig(path, cp.URL(), token)
}

func (cp *ControlPlane) writeKubeconfig(path, url, token string) error {
	const format = `apiVersion: v1
kind: Config
clusters:
- name: test
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: test
  user:
    token: %q
contexts:
- name: test
  context:
    cluster: test
    user: test
current-context: test
`
	content := fmt.Sprintf(format, url, base64.StdEncoding.EncodeToString(cp.ca), token)
	if err := replaceFile(path, []byte(content)); err != nil {
		return fmt.Errorf("writing the kubeconfig %s: %w", path, err)
	}
	return nil
}

func replaceFile(path string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".kubeconfig-") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // already gone if renamed
	_, err = file.Write(content)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
