// Package faults is the fault campaign: tests that break kactus, or what it needs, in every way
// they can, and then check that nothing is lost. Each adds a row to a table: what was done, how
// often, what was lost, and how long it took at worst until all was well again.
//
// Without the flag -faults.full the tests try what fits in a few minutes.
package faults

import (
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

func TestMain(m *testing.M) { kactustest.Main(m) }
