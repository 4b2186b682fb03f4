package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Index is a snapshot of the network namespaces that processes of the node are in, or that are
// mounted.
type Index struct {
	own ID
	// alive has a path to each namespace, by its name as the links in /proc spell it.
	alive map[string]string
}

// Scan returns the index of the network namespaces that processes are in at this moment, or that
// are mounted in the mount namespace of this process.
func Scan() (Index, error) {
	own, err := Own()
	if err != nil {
		return Index{}, err
	}
	links, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		return Index{}, err
	}
	index := Index{own: own, alive: map[string]string{}}
	for _, link := range links {
		if name, err := os.Readlink(link); err == nil { // otherwise the process has ended
			index.alive[name] = link
		}
	}
	return index, index.addMounted()
}

// addMounted adds the namespaces that are mounted on files, as runtimes keep those of Pods. The
// fourth field of a mount is its root, which has the form of a link in /proc, the fifth its path.
func (x Index) addMounted() error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[3], "net:[") {
			x.alive[fields[3]] = fields[4]
		}
	}
	return nil
}

// Visible reports whether this process can tell if the namespace is gone: it was recorded before
// the node was last booted, or in the mount namespace of this process, where its path means the
// same.
func (x Index) Visible(id ID) bool {
	return id.BootID != "" && (id.BootID != x.own.BootID || id.Mounts == x.own.Mounts)
}

// Gone reports whether the network namespace certainly no longer exists: the node was booted since,
// another namespace has its inode, or its path does not lead to it, no process is in it, and it is
// not mounted elsewhere.
func (x Index) Gone(id ID) bool {
	switch {
	case !x.Visible(id):
		return false
	case id.BootID != x.own.BootID:
		return true
	}
	if path := x.alive[fmt.Sprintf("net:[%d]", id.Inode)]; path != "" {
		now, err := Identify(path)
		return err == nil && now.Inode == id.Inode && !now.Same(id)
	}
	now, err := Identify(id.Path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotNamespace)
	}
	return !now.Same(id)
}
