package netns

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// ID identifies a network namespace for as long as the node runs.
type ID struct {
	// Path is where the namespace was found.
	Path string
	// Device and Inode are those of the namespace in the kernel's nsfs. Once the namespace is gone,
	// the kernel gives its inode to the next one.
	Device, Inode uint64
	// BootID is the node's boot ID at the time.
	BootID string
	// Mounts is the inode of the mount namespace in which Path was seen; zero where it is unknown.
	// In another mount namespace, Path may be missing or lead elsewhere.
	Mounts uint64
	// Cookie is the kernel's number of the namespace, which no other one gets until the next boot;
	// zero where it is unknown: it takes Linux 5.14, and the right to enter the namespace.
	Cookie uint64
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
		Cookie: cookie(path),
	}, nil
}

// cookie returns zero if the namespace's cookie cannot be told. The kernel tells it of a socket.
func cookie(path string) uint64 {
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return 0
	}
	defer ns.Close()
	socket, err := nl.GetNetlinkSocketAt(ns, netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		return 0
	}
	defer socket.Close()
	cookie, err := unix.GetsockoptUint64(socket.GetFd(), unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return 0
	}
	return cookie
}

// Own returns the identity of the network namespace that this process is in.
func Own() (ID, error) { return Identify("/proc/self/ns/net") }

// Ended returns an identity for a network namespace that was at path, or at none if path is empty,
// and has ended during the uptime of the node: Index.Gone reports true for it.
func Ended(path string) (ID, error) {
	own, err := Own()
	return ID{Path: path, BootID: own.BootID, Mounts: own.Mounts}, err
}

// IsZero reports whether nothing is known of the namespace.
func (id ID) IsZero() bool { return id == ID{} }

// Same reports whether both are the same network namespace, whatever their paths. It cannot tell
// one from the next of the same inode if a cookie is unknown.
func (id ID) Same(other ID) bool {
	return id.BootID == other.BootID && id.Device == other.Device && id.Inode == other.Inode &&
		(id.Cookie == other.Cookie || id.Cookie == 0 || other.Cookie == 0)
}
