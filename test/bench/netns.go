package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// sandbox is a network namespace that stands for a Pod's.
type sandbox struct {
	path string
	// canary is a device on the node whose other end is in the namespace, and which so ends when the kernel has taken that down.
	canary string
}

func newSandbox(dir, id string, number int64) (*sandbox, error) {
	s := &sandbox{path: filepath.Join(dir, id+".netns"), canary: fmt.Sprintf("canary%d", number)}
	if err := os.WriteFile(s.path, nil, 0o600); err != nil {
		return nil, err
	}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = unix.Mount("/proc/thread-self/ns/net", s.path, "", unix.MS_BIND, "")
		}
		made <- err
	}()
	if err := <-made; err != nil {
		return nil, fmt.Errorf("make a network namespace: %w", err)
	}
	return s, nil
}

// countDevices counts those in the namespace, without the loopback device.
func (s *sandbox) countDevices() (int, error) {
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

// remove ends the namespace, and waits until the kernel, which does that in the background and holds its lock on devices meanwhile, has done so.
func (s *sandbox) remove() error {
	at, err := netns.GetFromPath(s.path)
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = s.canary
	err = netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "canary", PeerNamespace: netlink.NsFd(at)})
	if err = errors.Join(err, at.Close(), unix.Unmount(s.path, unix.MNT_DETACH), os.Remove(s.path)); err != nil {
		return fmt.Errorf("remove a network namespace: %w", err)
	}
	const patience, pause = 5 * time.Minute, 2 * time.Millisecond
	for begin := time.Now(); time.Since(begin) < patience; time.Sleep(pause) {
		var none netlink.LinkNotFoundError
		if _, err := netlink.LinkByName(s.canary); errors.As(err, &none) {
			return nil
		}
	}
	return fmt.Errorf("the kernel does not take a network namespace down within %s", patience)
}
