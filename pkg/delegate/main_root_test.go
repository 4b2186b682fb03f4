//go:build root

package delegate

import (
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/plugins"
)

// pluginDir is the directory of the real plugins.
var pluginDir string

func TestMain(m *testing.M) {
	netnstest.Node()
	plugins.Main(m, &pluginDir)
}
