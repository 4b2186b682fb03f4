package kube

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A projected is a directory whose files are links that lead through the link ..data, which the
// kubelet replaces at each update.
type projected string

func (dir projected) update(t *testing.T, version string, files map[string][]byte) {
	t.Helper()
	path := func(name string) string { return filepath.Join(string(dir), name) }
	err := os.Mkdir(path(version), 0o755)
	for name, content := range files {
		err = errors.Join(err, os.WriteFile(path(filepath.Join(version, name)), content, 0o600))
		if _, missing := os.Lstat(path(name)); missing != nil {
			err = errors.Join(err, os.Symlink(filepath.Join("..data", name), path(name)))
		}
	}
	err = errors.Join(err, os.Symlink(version, path("..data_tmp")), os.Rename(path("..data_tmp"), path("..data")))
	if err != nil {
		t.Fatal(err)
	}
}

// The clock of the test is not the real one.
func TestInCluster_ReadsARenewedToken(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
	t.Setenv("KUBERNETES_SERVICE_PORT", "443")
	_, ca := selfSigned(t, valid())
	dir := projected(t.TempDir())
	dir.update(t, "..1", map[string][]byte{"token": []byte("first\n"), "ca.crt": ca})
	// As in a process that has entered another mount namespace.
	inherited, err := os.Open(string(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer inherited.Close()
	synctest.Test(t, func(t *testing.T) {
		c, err := InCluster(fmt.Sprintf("/proc/self/fd/%d", inherited.Fd()), "kactus/test")
		if err != nil {
			t.Fatal(err)
		}
		sent := &tokens{}
		findGuard(t, c.http.Transport).RoundTripper = sent
		get := func() {
			_, err := c.Pod(t.Context(), "tenant", "app")
			if failed := failure(t, err); failed.Status != http.StatusForbidden {
				t.Error(failed)
			}
		}
		get()
		dir.update(t, "..2", map[string][]byte{"token": []byte("second"), "ca.crt": ca})
		time.Sleep(time.Minute)
		get()
		if want := []string{"first", "second"}; !slices.Equal(*sent, want) {
			t.Errorf("sent %v, want %v", *sent, want)
		}
		if got := c.base.String(); got != "https://10.96.0.1:443/" {
			t.Errorf("the server is %s", got)
		}
	})
}

func TestInCluster_Errors(t *testing.T) {
	t.Run("a directory without the files", func(t *testing.T) {
		t.Setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
		t.Setenv("KUBERNETES_SERVICE_PORT", "443")
		_, err := InCluster("/nowhere", "kactus/test")
		if failed := failure(t, err); failed.Temporary() || !errors.Is(err, fs.ErrNotExist) ||
			!strings.Contains(err.Error(), "/nowhere/token") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no cluster", func(t *testing.T) {
		t.Setenv("KUBERNETES_SERVICE_HOST", "")
		_, err := InCluster(t.TempDir(), "kactus/test")
		const want = "in-cluster credentials: KUBERNETES_SERVICE_HOST"
		if failed := failure(t, err); !strings.Contains(failed.Error(), want) {
			t.Errorf("got %v", err)
		}
	})
}
