// Package e2e tests what only a process and a real apiserver can show of kactus: that it behaves as
// a CNI plugin towards container runtimes, node agents and operators, with the real plugins as its
// delegates.
package e2e

import (
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

func TestMain(m *testing.M) { kactustest.Main(m) }
