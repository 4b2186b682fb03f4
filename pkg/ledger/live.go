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

// Sees says whether something certain can be said of the namespace from here: it is of before the node was last started, or was
// recorded in this process's mount namespace, so that its path means the same.
func (l Live) Sees(n Netns) bool {
	return n.BootID != "" && (n.BootID != l.own.BootID || n.Mounts == l.own.Mounts)
}

// Ended says whether the network namespace is no more for certain: the node was started again since, or neither its path leads to it
// nor a process is in it. The kernel gives the number of a namespace that is gone to a new one, so that one that ended can be taken for
// alive, but not the other way around.
func (l Live) Ended(n Netns) bool {
	switch {
	case !l.Sees(n):
		return false
	case n.BootID != l.own.BootID:
		return true
	case l.inhabited[fmt.Sprintf("net:[%d]", n.Inode)]:
		return false
	}
	now, err := Identify(n.Path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotNetns)
	}
	return !now.Same(n)
}
