//go:build root

package kube

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNew_KubeconfigOwnerAndMode(t *testing.T) {
	for name, tt := range map[string]struct {
		uid, gid         int
		mode             os.FileMode
		refused, exposed bool
	}{
		"only root":                 {0, 0, 0o600, false, false},
		"read by root's group":      {0, 0, 0o640, false, false},
		"written by root's group":   {0, 0, 0o660, false, false},
		"read by all":               {0, 0, 0o644, false, true},
		"read by another group":     {0, 4242, 0o640, false, true},
		"written by all":            {0, 0, 0o602, true, false},
		"written by another group":  {0, 4242, 0o620, true, false},
		"another user's":            {4242, 0, 0o600, true, false},
		"another user's, read-only": {4242, 0, 0o400, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeKubeconfig(t, "https://127.0.0.1:1", nil)
			for _, err := range []error{os.Chown(path, tt.uid, tt.gid), os.Chmod(path, tt.mode)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			link := filepath.Join(t.TempDir(), "link") // as in the volume of a Secret
			if err := os.Symlink(path, link); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{path, link} {
				_, err := New(path, "kactus/test")
				if (err != nil) != tt.refused {
					t.Errorf("New: got %v, want an error: %v", err, tt.refused)
				}
				if err != nil && (failure(t, err).Temporary() || !strings.Contains(err.Error(), "root")) {
					t.Errorf("New: got %v", err)
				}
				if err := Exposed(path); (err != nil) != tt.exposed {
					t.Errorf("Exposed: got %v, want an error: %v", err, tt.exposed)
				}
			}
		})
	}
	if err := Exposed("/nowhere/kubeconfig"); err != nil {
		t.Errorf("a missing kubeconfig: %v", err)
	}
}
