package netns

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestIdentify_NotANamespace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file") // what is left of a mount point once its namespace is gone
	must(t, os.WriteFile(file, nil, 0o600))
	for _, path := range []string{file, filepath.Dir(file), "/proc/self/status", file + "-missing", ""} {
		if id, err := Identify(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %+v, %v", path, id, err)
		}
	}
}

func TestOwn_IsTheNamespaceOfThisProcess(t *testing.T) {
	own, err := Own()
	must(t, err)
	index, err := Scan()
	must(t, err)
	if !index.Visible(own) || index.Gone(own) {
		t.Errorf("%+v is visible: %v, gone: %v", own, index.Visible(own), index.Gone(own))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
