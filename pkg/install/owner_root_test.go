//go:build root

package install

import (
	"os"
	"testing"
)

// Some tools that set up nodes give the CNI directories, and what is in them, to another user.
func TestInstall_FilesOfAnotherUser(t *testing.T) {
	n := newTestNode(t)
	n.install()
	for _, path := range []string{
		n.BinDir, n.ConfDir, n.ConfDir + "/kactus.d", n.binaryPath(), n.kubeconfigPath(), n.netconfPath(),
	} {
		n.must(os.Chown(path, 4242, 4242))
	}
	n.same("changes", n.install(),
		[]string{"write bin/kactus", "write conf/kactus.d/kactus-kubeconfig.yaml", "write conf/00-kactus.conf"})
	n.same("changes later", n.install(), nil)
}
