package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Live knows which network namespaces are alive on the node.
type Live struct {
	own Netns
	// inhabited are the namespaces of processes, as their links in /proc name them.
	inhabited map[string]bool
}

// LookAround finds the network namespaces that processes are in.
func LookAround() (Live, error) {
	const processes = "/proc/[0-9]*/ns/net"
	own, err := Identify("/proc/self/ns/net")
	if err != nil {
		return Live{}, err
	}
	links, err := filepath.Glob(processes)
	if err != nil {
		return Live{}, err
	}
	live := Live{own: own, inhabited: map[string]bool{}}
	for _, link := range links {
		if name, err := os.Readlink(link); err == nil { // else the process has ended
			live.inhabited[name] = true
		}
	}
	return live, nil
}

// Ended says whether the network namespace is no more for certain: the node was started again since, or neither its path, seen
// from where it was recorded, leads to it nor a process is in it. The kernel numbers namespaces anew when old
// ones are gone, so that one that ended can be taken for alive, but not the other way around.
func (l Live) Ended(n Netns) bool {
	if n.BootID != l.own.BootID {
		return n.BootID != ""
	}
	if n.Mounts != l.own.Mounts || l.inhabited[fmt.Sprintf("net:[%d]", n.Inode)] {
		return false
	}
	now, err := Identify(n.Path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotNetns)
	}
	return !now.Same(n)
}
