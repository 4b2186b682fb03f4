package netns

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ID identifies a network namespace for as long as the node runs.
type ID struct {
	// Path is where the namespace was found.
	Path string
	// Device and Inode are those of the namespace in the kernel's nsfs.
	Device, Inode uint64
	// BootID is the node's boot ID at the time.
	BootID string
	// Mounts is the inode of the mount namespace in which Path was seen; zero where it is unknown.
	// In another mount namespace, Path may be missing or lead elsewhere.
	Mounts uint64
}

var errNotNamespace = errors.New("not a network namespace")

// Identify returns the identity of the network namespace at path.
func Identify(path string) (ID, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return ID{}, fmt.Errorf("identify the network namespace %s: %w", path, err)
	}
	if fs.Type != unix.NSFS_MAGIC {
		return ID{}, fmt.Errorf("identify the network namespace %s: %w", path, errNotNamespace)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return ID{}, fmt.Errorf("identify the network namespace %s: %w", path, err)
	}
	bootID, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ID{}, fmt.Errorf("read the node's boot ID: %w", err)
	}
	var mounts unix.Stat_t
	if err := unix.Stat("/proc/self/ns/mnt", &mounts); err != nil {
		return ID{}, fmt.Errorf("identify the mount namespace: %w", err)
	}
	return ID{
		Path:   path,
		Device: st.Dev,
		Inode:  st.Ino,
		BootID: strings.TrimSpace(string(bootID)),
		Mounts: mounts.Ino,
	}, nil
}

// Own returns the identity of the network namespace that this process is in.
func Own() (ID, error) { return Identify("/proc/self/ns/net") }

// Ended returns an identity for a network namespace that was at path, or at none if path is empty,
// and has ended during the uptime of the node: Index.Gone reports true for it.
func Ended(path string) (ID, error) {
	own, err := Own()
	return ID{Path: path, BootID: own.BootID, Mounts: own.Mounts}, err
}

// Same reports whether both are the same network namespace, whatever their paths.
func (id ID) Same(other ID) bool {
	return id.BootID == other.BootID && id.Device == other.Device && id.Inode == other.Inode
}
