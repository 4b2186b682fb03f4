//go:build root

package delegate

import (
	"os"
	"path/filepath"
	"testing"
)

// Linux lets only the owner of a file, or root, make a hard link to it, and only on its own file
// system.
func TestFind_HardLinkToKactus(t *testing.T) {
	self, err := os.Executable()
	must(t, err)
	dir, err := os.MkdirTemp(filepath.Dir(self), "links-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := scripts{T: t, dir: dir}
	must(t, os.Link(self, s.path("bridge")))
	testKactusItself(t, s)
}
