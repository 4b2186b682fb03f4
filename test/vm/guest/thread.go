package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// thread is a thread of the operating system's with namespaces of its own: there happens what it does, and there run the processes that it starts.
// It lasts as long as the machine.
type thread struct {
	id   int
	work chan func()
	// links is a netlink socket in its network namespace, where the loopback device is up.
	links *netlink.Handle
}

// newThread starts one with namespaces as the CLONE_NEW flags say, a network namespace at least.
func newThread(namespaces int) (*thread, error) {
	t := &thread{work: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for do := range t.work {
			do()
		}
	}()
	return t, t.do(func() error { return t.enter(namespaces) })
}

func (t *thread) enter(namespaces int) error {
	t.id = unix.Gettid()
	if err := unix.Unshare(namespaces | unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("entering new namespaces: %w", err)
	}
	links, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	t.links = links
	return t.up("lo")
}

// do returns what work returns, once that is done on the thread.
func (t *thread) do(work func() error) error {
	done := make(chan error)
	t.work <- func() { done <- work() }
	return <-done
}

// up sets a device up, and gives it addresses.
func (t *thread) up(device string, addresses ...string) error {
	link, err := t.links.LinkByName(device)
	if err != nil {
		return fmt.Errorf("finding the device %s: %w", device, err)
	}
	for _, address := range addresses {
		addr, err := netlink.ParseAddr(address)
		if err != nil {
			return err
		}
		if err := t.links.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("giving %s the address %s: %w", device, address, err)
		}
	}
	if err := t.links.LinkSetUp(link); err != nil {
		return fmt.Errorf("setting %s up: %w", device, err)
	}
	return nil
}

// devices returns the names of the devices there, but for the loopback device.
func (t *thread) devices() ([]string, error) {
	links, err := t.links.LinkList()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, link := range links {
		if name := link.Attrs().Name; name != "lo" {
			names = append(names, name)
		}
	}
	return names, nil
}

// setSysctl sets a parameter of the network namespace: the file's meaning depends on the thread that opens it.
func (t *thread) setSysctl(name, value string) error {
	return t.do(func() error { return os.WriteFile("/proc/sys/"+name, []byte(value), 0o644) })
}
