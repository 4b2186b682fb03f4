package netnstest

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Netns is a network namespace, as a container runtime makes it for a Pod: a file that it is mounted on.
type Netns struct {
	Path string
}

// New makes a network namespace with a loopback device that is up. It goes with the test.
func New(t testing.TB) *Netns {
	t.Helper()
	n := &Netns{Path: filepath.Join(t.TempDir(), "netns")}
	n.Mount(t)
	t.Cleanup(n.Remove)
	return n
}

// Mount makes a namespace at n.Path, where there is none, or none any more.
func (n *Netns) Mount(t testing.TB) {
	t.Helper()
	if err := os.WriteFile(n.Path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := onThreadOfItsOwn(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		if err := loopbackUp(); err != nil {
			return err
		}
		return unix.Mount("/proc/thread-self/ns/net", n.Path, "", unix.MS_BIND, "")
	})
	if err != nil {
		t.Fatalf("make a network namespace (it takes root): %v", err)
	}
}

// onThreadOfItsOwn calls do on a thread that ends with it. That is never the main thread, whose namespaces /proc/self shows as the process's.
func onThreadOfItsOwn(do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			done <- onThreadOfItsOwn(do)
			runtime.UnlockOSThread()
			return
		}
		done <- do() // and never unlocked, so that the thread ends with the goroutine
	}()
	return <-done
}

// Remove ends the namespace, as when the node restarts: nothing is left at its path.
func (n *Netns) Remove() {
	_ = unix.Unmount(n.Path, unix.MNT_DETACH)
	_ = os.Remove(n.Path)
}

// Links is a netlink socket in the namespace.
func (n *Netns) Links(t testing.TB) *netlink.Handle {
	t.Helper()
	at, err := netns.GetFromPath(n.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	handle, err := netlink.NewHandleAt(at, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(handle.Close)
	return handle
}

// Devices are the names of the devices there, without the loopback device, in order.
func (n *Netns) Devices(t testing.TB) []string {
	t.Helper()
	links, err := n.Links(t).LinkList()
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, link := range links {
		if link.Attrs().Flags&net.FlagLoopback == 0 {
			names = append(names, link.Attrs().Name)
		}
	}
	slices.Sort(names)
	return names
}

// Link is the device of that name.
func (n *Netns) Link(t testing.TB, name string) netlink.Link {
	t.Helper()
	link, err := n.Links(t).LinkByName(name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return link
}

// MAC is the MAC address of the device of that name.
func (n *Netns) MAC(t testing.TB, name string) string {
	t.Helper()
	return n.Link(t, name).Attrs().HardwareAddr.String()
}

// IPv4 are the addresses of the device of that name, in CIDR notation.
func (n *Netns) IPv4(t testing.TB, name string) []string {
	t.Helper()
	addrs, err := n.Links(t).AddrList(n.Link(t, name), netlink.FAMILY_V4)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, addr := range addrs {
		all = append(all, addr.IPNet.String())
	}
	return all
}

func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}
