package netnstest

import (
	"errors"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

// Netns is a network namespace as a container runtime makes it for a Pod: mounted on a file.
type Netns struct {
	Path string
}

// New makes a network namespace with a loopback interface that is up. It ends with the test.
func New(t testing.TB) *Netns {
	t.Helper()
	n := &Netns{Path: filepath.Join(t.TempDir(), "netns")}
	n.Mount(t)
	t.Cleanup(n.Remove)
	return n
}

// Mount makes a namespace at n.Path, where there is none or none anymore.
func (n *Netns) Mount(t testing.TB) {
	t.Helper()
	if err := node.NewNetns(n.Path); err != nil {
		t.Fatalf("make a network namespace (needs root): %v", err)
	}
}

// Remove ends the namespace as a restart of the node does: nothing is left at its path.
func (n *Netns) Remove() { node.RemoveNetns(n.Path) }

// Do calls do with a netlink socket in the namespace.
func (n *Netns) Do(t testing.TB, do func(*netlink.Handle)) {
	t.Helper()
	handle := n.open(t)
	defer handle.Close()
	do(handle)
}

// Links returns a netlink socket in the namespace, which is closed when the test ends.
func (n *Netns) Links(t testing.TB) *netlink.Handle {
	t.Helper()
	handle := n.open(t)
	t.Cleanup(handle.Close)
	return handle
}

func (n *Netns) open(t testing.TB) *netlink.Handle {
	t.Helper()
	at, err := netns.GetFromPath(n.Path)
	if err != nil {
		t.Fatalf("open the network namespace %s: %v", n.Path, err)
	}
	defer at.Close()
	handle, err := netlink.NewHandleAt(at, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatalf("open netlink in %s: %v", n.Path, err)
	}
	return handle
}

// LinksByName returns the interfaces in the namespace, without the loopback interface.
func (n *Netns) LinksByName(t testing.TB) map[string]netlink.Link {
	t.Helper()
	var all []netlink.Link
	n.Do(t, func(handle *netlink.Handle) {
		var err error
		for all, err = handle.LinkList(); errors.Is(err, netlink.ErrDumpInterrupted); {
			all, err = handle.LinkList()
		}
		if err != nil {
			t.Fatalf("list the interfaces in %s: %v", n.Path, err)
		}
	})
	links := map[string]netlink.Link{}
	for _, link := range all {
		if link.Attrs().Flags&net.FlagLoopback == 0 {
			links[link.Attrs().Name] = link
		}
	}
	return links
}

// Devices returns the names of the interfaces in the namespace, without the loopback interface, in
// order.
func (n *Netns) Devices(t testing.TB) []string {
	t.Helper()
	names := []string{}
	return append(names, slices.Sorted(maps.Keys(n.LinksByName(t)))...)
}

// Link returns the interface of that name.
func (n *Netns) Link(t testing.TB, name string) netlink.Link {
	t.Helper()
	link, ok := n.LinksByName(t)[name]
	if !ok {
		t.Fatalf("no interface %s in %s", name, n.Path)
	}
	return link
}

// MAC returns the MAC address of the interface of that name.
func (n *Netns) MAC(t testing.TB, name string) string {
	t.Helper()
	return n.Link(t, name).Attrs().HardwareAddr.String()
}

// IPv4 returns the IPv4 addresses of the interface of that name, in CIDR notation.
func (n *Netns) IPv4(t testing.TB, name string) []string {
	t.Helper()
	link := n.Link(t, name)
	var all []string
	n.Do(t, func(handle *netlink.Handle) {
		addrs, err := handle.AddrList(link, netlink.FAMILY_V4)
		if err != nil {
			t.Fatal(err)
		}
		for _, addr := range addrs {
			all = append(all, addr.IPNet.String())
		}
	})
	return all
}
