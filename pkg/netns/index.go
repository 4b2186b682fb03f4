package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Index is a snapshot of the network namespaces that processes of the node are in.
type Index struct {
	own ID
	// inhabited holds the namespaces of processes, as their links in /proc spell them.
	inhabited map[string]bool
}

// Scan returns the index of the network namespaces that processes are in at this moment.
func Scan() (Index, error) {
	own, err := Own()
	if err != nil {
		return Index{}, err
	}
	links, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		return Index{}, err
	}
	index := Index{own: own, inhabited: map[string]bool{}}
	for _, link := range links {
		if name, err := os.Readlink(link); err == nil { // otherwise the process has ended
			index.inhabited[name] = true
		}
	}
	return index, nil
}

// Visible reports whether this process can tell if the namespace is gone: it was recorded before
// the node was last booted, or in the mount namespace of this process, where its path means the
// same.
func (x Index) Visible(id ID) bool {
	return id.BootID != "" && (id.BootID != x.own.BootID || id.Mounts == x.own.Mounts)
}

// Gone reports whether the network namespace certainly no longer exists: the node was booted since,
// or neither does its path lead to it nor is a process in it.
func (x Index) Gone(id ID) bool {
	switch {
	case !x.Visible(id):
		return false
	case id.BootID != x.own.BootID:
		return true
	case x.inhabited[fmt.Sprintf("net:[%d]", id.Inode)]:
		return false
	}
	now, err := Identify(id.Path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotNamespace)
	}
	return !now.Same(id)
}
