package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestValidate_Files(t *testing.T) {
	list := `{"cniVersion": "1.0.0", "name": "n", "plugins": [` + validNetconf + `, {"type": "istio-cni"}]}`
	for name, tt := range map[string]struct {
		file, content string
		code          int
		words         []string
	}{
		"a netconf":           {"a.conf", validNetconf, 0, []string{"valid"}},
		"a list":              {"a.conflist", list, 0, []string{"valid"}},
		"a list on its own":   {"a", list, 0, []string{"valid"}},
		"a list as a netconf": {"a.conf", list, 1, []string{".conflist"}},
		"a netconf as a list": {"a.conflist", validNetconf, 1, []string{"plugins"}},
		"a problem in a list": {
			"a.conflist", strings.Replace(list, `"masterPlugin"`, `"ipam": 1, "masterPlugin"`, 1), 1,
			[]string{"plugins[0].delegates", "ipam"}},
		"a list without kactus": {"a.conflist", `{"name": "n", "plugins": [{"type": "ptp"}]}`, 1,
			[]string{"kactus"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), tt.file)
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			got := run(nil, "", "validate", path)
			expectAll(t, "stdout", got.stdout, append(tt.words, path))
			if got.code != tt.code {
				t.Errorf("exit status %d, want %d: %s", got.code, tt.code, got.stdout)
			}
		})
	}
}
