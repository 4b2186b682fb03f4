//go:build root

package netns

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
)

const anotherBootID = "e0f6a1d2-0000-0000-0000-000000000000"

func TestID_Same(t *testing.T) {
	ns, other := netnstest.New(t), netnstest.New(t)
	id := identify(t, ns.Path)
	if id.Inode == 0 || id.BootID == "" {
		t.Errorf("incomplete: %+v", id)
	}

	t.Run("the same by another path", func(t *testing.T) {
		link := filepath.Join(t.TempDir(), "link")
		must(t, os.Symlink(ns.Path, link))
		if got := identify(t, link); !got.Same(id) || got.Path == id.Path {
			t.Errorf("%+v\n%+v", got, id)
		}
	})
	t.Run("inodes are assigned anew at each boot", func(t *testing.T) {
		rebooted := id
		rebooted.BootID = anotherBootID
		if id.Same(rebooted) {
			t.Error("same")
		}
	})
	t.Run("another namespace at the same path", func(t *testing.T) {
		ns.Remove()
		must(t, os.Symlink(other.Path, ns.Path))
		if after := identify(t, ns.Path); id.Same(after) {
			t.Errorf("%+v\n%+v", id, after)
		}
	})
}

func identify(t *testing.T, path string) ID {
	t.Helper()
	id, err := Identify(path)
	must(t, err)
	return id
}

func TestOpen_NotANamespace(t *testing.T) {
	for _, path := range []string{"/run/netns/there-is-none", "/proc/self/status", ""} {
		n, err := Open(path)
		if err == nil {
			n.Close()
			t.Errorf("%q was opened", path)
		} else if !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v", path, err)
		}
	}
}
