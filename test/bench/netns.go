package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

// A sandbox is the network namespace of a Pod.
type sandbox struct {
	path string
	// canary is a veth interface on the node. Its peer is in the namespace, so it is gone once the
	// kernel has removed the namespace.
	canary string
}

func newSandbox(dir, id string, number int64) (*sandbox, error) {
	s := &sandbox{path: filepath.Join(dir, id+".netns"), canary: fmt.Sprintf("canary%d", number)}
	if err := node.NewNetns(s.path); err != nil {
		return nil, fmt.Errorf("making a network namespace: %w", err)
	}
	return s, nil
}

// countInterfaces returns the number of interfaces in the namespace, without the loopback
// interface.
func (s *sandbox) countInterfaces() (int, error) {
	at, err := netns.GetFromPath(s.path)
	if err != nil {
		return 0, err
	}
	defer at.Close()
	handle, err := netlink.NewHandleAt(at, unix.NETLINK_ROUTE)
	if err != nil {
		return 0, err
	}
	defer handle.Close()
	links, err := handle.LinkList()
	count := 0
	for _, link := range links {
		if link.Attrs().Flags&net.FlagLoopback == 0 {
			count++
		}
	}
	return count, err
}

func (s *sandbox) expectInterfaces(want int) error {
	interfaces, err := s.countInterfaces()
	if err == nil && interfaces != want {
		err = fmt.Errorf("%d interfaces, not %d", interfaces, want)
	}
	return err
}

// remove removes the namespace and waits for the kernel, which does the work in the background
// while it holds the lock on interfaces.
func (s *sandbox) remove() error {
	at, err := netns.GetFromPath(s.path)
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = s.canary
	err = netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "canary", PeerNamespace: netlink.NsFd(at)})
	if err = errors.Join(err, at.Close(), unix.Unmount(s.path, unix.MNT_DETACH), os.Remove(s.path)); err != nil {
		return fmt.Errorf("removing a network namespace: %w", err)
	}
	const limit, pause = 5 * time.Minute, 2 * time.Millisecond
	for begin := time.Now(); time.Since(begin) < limit; time.Sleep(pause) {
		var none netlink.LinkNotFoundError
		if _, err := netlink.LinkByName(s.canary); errors.As(err, &none) {
			return nil
		}
	}
	return fmt.Errorf("removing a network namespace: the kernel takes longer than %s", limit)
}
