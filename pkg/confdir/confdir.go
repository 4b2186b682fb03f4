// Package confdir finds configurations in the directory of CNI configurations that runtimes read,
// such as /etc/cni/net.d.
package confdir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
)

// ErrNone is returned when no file has a configuration of that name.
var ErrNone = errors.New("no file has a CNI configuration of that name")

// Extensions are those of the files that runtimes read, in the order in which Find looks at them:
// lists come first (NPWG standard 1.3, section 3.4.1).
func Extensions() []string { return []string{".conflist", ".conf", ".json"} }

// Find returns the configuration in dir, of one plugin or a list, whose name is name, and the file
// that has it. Files that cannot be read, and those of kactus itself, are passed over.
func Find(dir, name string) (config []byte, path string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, "", fmt.Errorf("find the CNI configuration %s: %w", name, err)
	}
	for _, extension := range Extensions() {
		for _, entry := range entries {
			path := filepath.Join(dir, entry.Name())
			if filepath.Ext(path) != extension {
				continue
			}
			if config, err := read(path); err == nil && isNamed(config, name) {
				return config, path, nil
			}
		}
	}
	return nil, "", fmt.Errorf("find the CNI configuration %s in %s: %w", name, dir, ErrNone)
}

// read reads a file, which must be a regular one: others might never end.
func read(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s is not a regular file", path))
	}
	return io.ReadAll(io.LimitReader(file, cniconf.MaxSize+1))
}

// isNamed reports whether a configuration has that name, and is not kactus's own.
func isNamed(config []byte, name string) bool {
	type plugin struct {
		Type string `json:"type"`
	}
	var head struct {
		plugin
		Name    string   `json:"name"`
		Plugins []plugin `json:"plugins"`
	}
	if json.Unmarshal(config, &head) != nil || head.Name != name {
		return false
	}
	return !slices.Contains(append(head.Plugins, head.plugin), plugin{Type: cniconf.Self})
}
