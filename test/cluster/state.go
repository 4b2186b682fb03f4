package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Files of the state folder.
const (
	fileCA           = "ca.crt"
	fileServingCert  = "serving.crt"
	fileServingKey   = "serving.key"
	fileClientCert   = "kube-apiserver-client.crt" // presented to etcd and to kubelets
	fileClientKey    = "kube-apiserver-client.key"
	fileSigningKey   = "service-account.key"
	fileVerifyKey    = "service-account.pub"
	fileTokens       = "tokens.csv"
	fileAuditPolicy  = "audit-policy.json"
	fileAuditLog     = "audit.log"
	fileKubeconfig   = "kubeconfig"
	folderEtcd       = "etcd"
	folderKubectl    = "kubectl-cache"
	fileMadeByUp     = "made-by-cluster-up" // present where Up made the folder itself
	suffixKubeconfig = ".kubeconfig"
	suffixLog        = ".log"
	suffixPID        = ".pid"
	suffixStartedPID = ".pid-started"
)

// stateFiles are all the names that a control plane may leave in its state folder.
func stateFiles() []string {
	names := []string{
		fileCA, fileServingCert, fileServingKey, fileClientCert, fileClientKey, fileSigningKey, fileVerifyKey,
		fileTokens, fileAuditPolicy, fileAuditLog, fileKubeconfig, folderEtcd, folderKubectl, fileMadeByUp,
	}
	for _, part := range []Part{Etcd, APIServer, ControllerManager, Scheduler, Forward, hostPart} {
		names = append(names, string(part)+suffixKubeconfig, string(part)+suffixLog, string(part)+suffixPID, string(part)+suffixStartedPID)
	}
	return names
}

// makeStateDir returns the absolute path of a folder that only its owner may enter,
// and whether this call made it. An empty dir stands for a new temporary folder.
func makeStateDir(dir string) (path string, made bool, err error) {
	if dir == "" {
		path, err = os.MkdirTemp("", "kactus-cluster-")
		return path, true, err
	}
	if path, err = filepath.Abs(dir); err != nil {
		return "", false, err
	}
	err = os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return path, false, nil
	}
	return path, err == nil, err
}

// removeState removes from a folder what a control plane left there and nothing else,
// then the folder itself if that was made for it and nothing else is in it.
func removeState(dir string, made bool) error {
	var failed []error
	for _, name := range stateFiles() {
		failed = append(failed, os.RemoveAll(filepath.Join(dir, name)))
	}
	folders, err := nodeFolders(dir)
	failed = append(failed, err)
	for _, folder := range folders {
		failed = append(failed, os.RemoveAll(folder))
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("removing the control plane's files: %w", err)
	}
	if !made {
		return nil
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		return err
	}
	return os.Remove(dir)
}

// nodeFolders returns the folders of the nodes that a state folder holds.
func nodeFolders(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var folders []string
	for _, entry := range entries {
		number, isNode := strings.CutPrefix(entry.Name(), "node")
		if _, err := strconv.Atoi(number); isNode && err == nil && entry.IsDir() {
			folders = append(folders, filepath.Join(dir, entry.Name()))
		}
	}
	return folders, err
}
