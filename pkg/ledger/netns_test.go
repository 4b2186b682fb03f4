package ledger

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
)

func TestANamespaceIsTheSameByAnyPath(t *testing.T) {
	ns := netnstest.New(t)
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(ns.Path, link))
	a, b := identify(t, ns.Path), identify(t, link)
	if !a.Same(b) || a.Path == b.Path {
		t.Errorf("%+v\n%+v", a, b)
	}
	if a.Inode == 0 || a.BootID == "" {
		t.Errorf("%+v", a)
	}
}

func TestAnotherNamespaceAtTheSamePathIsNotTheSame(t *testing.T) {
	ns, other := netnstest.New(t), netnstest.New(t)
	before := identify(t, ns.Path)
	ns.Remove()
	must(t, os.Symlink(other.Path, ns.Path))
	if after := identify(t, ns.Path); before.Same(after) {
		t.Errorf("%+v\n%+v", before, after)
	}
}

func TestANamespaceOfBeforeTheNodeStartedIsNotTheSame(t *testing.T) {
	now := identify(t, netnstest.New(t).Path)
	before := now
	before.BootID = "e0f6a1d2-0000-0000-0000-000000000000"
	if now.Same(before) {
		t.Error("inodes are counted anew at each start")
	}
}

func TestWhatIsNotANamespaceIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file") // as a mount point is, when its namespace is gone
	must(t, os.WriteFile(file, nil, 0o600))
	for _, path := range []string{file, filepath.Dir(file), "/proc/self/status", file + "-missing", ""} {
		if n, err := Identify(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %+v, %v", path, n, err)
		}
	}
}

func identify(t *testing.T, path string) Netns {
	t.Helper()
	n, err := Identify(path)
	must(t, err)
	return n
}
