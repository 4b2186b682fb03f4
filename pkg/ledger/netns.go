package ledger

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Netns identifies a network namespace for as long as the node runs: a path alone can come to mean
// another one, such as /proc/PID/ns/net does when the process ID is used again.
type Netns struct {
	Path   string `json:"path"`
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
	BootID string `json:"bootID"`
	// Mounts is the inode of the mount namespace in which Path was seen; elsewhere it may be missing, or something else.
	Mounts uint64 `json:"mounts,omitempty"`
}

var errNotNetns = errors.New("is not a network namespace")

// Identify looks at the network namespace that path holds.
func Identify(path string) (Netns, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return Netns{}, fmt.Errorf("look at the network namespace %s: %w", path, err)
	}
	if fs.Type != unix.NSFS_MAGIC {
		return Netns{}, fmt.Errorf("%s %w", path, errNotNetns)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return Netns{}, fmt.Errorf("look at the network namespace %s: %w", path, err)
	}
	bootID, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Netns{}, fmt.Errorf("read the node's boot ID: %w", err)
	}
	var mounts unix.Stat_t
	if err := unix.Stat("/proc/self/ns/mnt", &mounts); err != nil {
		return Netns{}, fmt.Errorf("look at the mount namespace: %w", err)
	}
	return Netns{Path: path, Device: st.Dev, Inode: st.Ino, BootID: strings.TrimSpace(string(bootID)), Mounts: mounts.Ino}, nil
}

// Same says whether both are one network namespace, by whatever path.
func (n Netns) Same(o Netns) bool {
	return n.BootID == o.BootID && n.Device == o.Device && n.Inode == o.Inode
}
