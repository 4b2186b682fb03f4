package confdir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFind(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"00-kactus.conf":     `{"name": "own", "type": "kactus"}`,
		"01-kactus.conflist": `{"name": "own-list", "plugins": [{"type": "ptp"}, {"type": "kactus"}]}`,
		"05-broken.conflist": `{"name": "plain"`,
		"10-plain.conf":      `{"name": "plain", "type": "ptp"}`,
		"11-plain.conf":      `{"name": "plain", "type": "bridge"}`,
		"20-both.conf":       `{"name": "both", "type": "ptp"}`,
		"30-both.conflist":   `{"name": "both", "plugins": [{"type": "ptp"}]}`,
		"40-json.json":       `{"name": "json", "type": "ptp"}`,
		"50-other.txt":       `{"name": "other", "type": "ptp"}`,
		"60-number.conf":     `{"name": 5}`,
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(dir, "00-fifo.conflist"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, network, file string }{
		{"the first of that name, beside a broken file and a pipe", "plain", "10-plain.conf"},
		{"a list before a configuration", "both", "30-both.conflist"},
		{"a file that ends in .json", "json", "40-json.json"},
		{"a file that runtimes do not read", "other", ""},
		{"kactus itself", "own", ""},
		{"a list with kactus", "own-list", ""},
		{"none", "missing", ""},
		{"no name", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config, path, err := Find(dir, tt.network)
			if tt.file == "" {
				if !errors.Is(err, ErrNone) {
					t.Errorf("got %s, %v", path, err)
				}
				return
			}
			if err != nil || path != filepath.Join(dir, tt.file) || string(config) != files[tt.file] {
				t.Errorf("got %s, %s, %v", path, config, err)
			}
		})
	}
	t.Run("no such directory", func(t *testing.T) {
		if _, _, err := Find(filepath.Join(dir, "missing"), "plain"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	})
}
