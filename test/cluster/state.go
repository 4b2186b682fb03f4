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

// Names in the state directory.
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
	dirEtcd          = "etcd"
	dirKubectl       = "kubectl-cache"
	fileMadeByUp     = "made-by-cluster-up" // exists if Up created the directory
	suffixKubeconfig = ".kubeconfig"
	suffixLog        = ".log"
	suffixPID        = ".pid"
	suffixStartedPID = ".pid-started"
)

// stateFiles returns the names of everything that a control plane may leave in its state directory.
func stateFiles() []string {
	names := []string{
		fileCA, fileServingCert, fileServingKey, fileClientCert, fileClientKey, fileSigningKey, fileVerifyKey,
		fileTokens, fileAuditPolicy, fileAuditLog, fileKubeconfig, dirEtcd, dirKubectl, fileMadeByUp,
	}
	for _, part := range []Part{Etcd, APIServer, ControllerManager, Scheduler, Forward, hostPart} {
		names = append(names, string(part)+suffixKubeconfig, string(part)+suffixLog, string(part)+suffixPID,
			string(part)+suffixStartedPID)
	}
	return names
}

// makeStateDir creates a directory that only its owner may enter, unless it exists. It returns the
// absolute path, and whether this call created the directory. Empty means a new temporary
// directory.
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

// removeState removes the files of a control plane from a directory, and nothing else. It then
// removes the directory if made is true and the directory is empty.
func removeState(dir string, made bool) error {
	var failed []error
	for _, name := range stateFiles() {
		failed = append(failed, os.RemoveAll(filepath.Join(dir, name)))
	}
	nodeDirs, err := findNodeDirs(dir)
	failed = append(failed, err)
	for _, nodeDir := range nodeDirs {
		failed = append(failed, os.RemoveAll(nodeDir))
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

// findNodeDirs returns the directories of the nodes in a state directory.
func findNodeDirs(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var nodeDirs []string
	for _, entry := range entries {
		number, isNode := strings.CutPrefix(entry.Name(), "node")
		if _, err := strconv.Atoi(number); isNode && err == nil && entry.IsDir() {
			nodeDirs = append(nodeDirs, filepath.Join(dir, entry.Name()))
		}
	}
	return nodeDirs, err
}
