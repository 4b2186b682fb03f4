package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
)

// ErrNoNetconf is returned when the node has no netconf of kactus.
var ErrNoNetconf = errors.New("no file has a CNI configuration of the type kactus")

// A netconfCache has the netconf that was found last, for as long as no file has changed: the agent
// asks for it with each Pod that it looks at.
type netconfCache struct {
	mu    sync.Mutex
	files []configFile
	found Netconf
	err   error
}

// configFile identifies the content of a file of CNI configurations.
type configFile struct {
	path    string
	size    int64
	changed unix.Timespec
	inode   uint64
}

// Netconf returns the netconf of the node: the first file with one, in the order in which runtimes
// read the directory.
func (n *Node) Netconf() (Netconf, error) {
	files, err := configFiles(n.ConfDir)
	if err != nil {
		return Netconf{}, fmt.Errorf("find kactus's netconf: %w", err)
	}
	n.netconf.mu.Lock()
	defer n.netconf.mu.Unlock()
	if n.netconf.files == nil || !slices.Equal(files, n.netconf.files) {
		n.netconf.files = files
		n.netconf.found, n.netconf.err = findNetconf(n.ConfDir, files)
	}
	return n.netconf.found, n.netconf.err
}

// configFiles returns the files of a directory that a runtime would read, in its order.
func configFiles(dir string) ([]configFile, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	files := []configFile{}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		var st unix.Stat_t
		isRead := slices.Contains([]string{".conf", ".conflist", ".json"}, filepath.Ext(path))
		if !isRead || unix.Stat(path, &st) != nil {
			continue
		}
		files = append(files, configFile{path: path, size: st.Size, changed: st.Ctim, inode: st.Ino})
	}
	return files, nil
}

func findNetconf(dir string, files []configFile) (Netconf, error) {
	for _, file := range files {
		path := file.path
		content, err := os.ReadFile(path)
		if err != nil || !isKactus(content) {
			continue
		}
		stdin, conf, err := netconf.ReadFile(content)
		if err != nil {
			return Netconf{}, fmt.Errorf("read kactus's netconf %s: %w", path, err)
		}
		return Netconf{Path: path, Stdin: stdin, Conf: conf}, nil
	}
	return Netconf{}, fmt.Errorf("find kactus's netconf in %s: %w", dir, ErrNoNetconf)
}

// isKactus reports whether a CNI configuration, or a plugin of a list, has the type of kactus.
func isKactus(content []byte) bool {
	var file struct {
		Type    string `json:"type"`
		Plugins []struct {
			Type string `json:"type"`
		} `json:"plugins"`
	}
	if json.Unmarshal(content, &file) != nil {
		return false
	}
	for _, plugin := range file.Plugins {
		if plugin.Type == cniconf.Self {
			return true
		}
	}
	return file.Type == cniconf.Self
}
