package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A thread is an operating system thread with namespaces of its own, where it runs functions and
// starts processes. It lasts as long as the machine.
type thread struct {
	id   int
	work chan func()
	// links is a netlink socket in the thread's network namespace.
	links *netlink.Handle
}

// newThread starts a thread with new namespaces, by CLONE_NEW flags; a network namespace is always
// included.
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

// do runs work on the thread and returns its error.
func (t *thread) do(work func() error) error {
	done := make(chan error)
	t.work <- func() { done <- work() }
	return <-done
}

// up adds addresses to an interface and sets it up.
func (t *thread) up(ifName string, addresses ...string) error {
	link, err := t.links.LinkByName(ifName)
	if err != nil {
		return fmt.Errorf("finding the interface %s: %w", ifName, err)
	}
	for _, address := range addresses {
		addr, err := netlink.ParseAddr(address)
		if err != nil {
			return err
		}
		if err := t.links.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("adding the address %s to %s: %w", address, ifName, err)
		}
	}
	if err := t.links.LinkSetUp(link); err != nil {
		return fmt.Errorf("setting %s up: %w", ifName, err)
	}
	return nil
}

// interfaces returns the names of the interfaces in the thread's network namespace, without the
// loopback interface.
func (t *thread) interfaces() ([]string, error) {
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

// setSysctl sets a kernel parameter of the thread's network namespace.
func (t *thread) setSysctl(name, value string) error {
	return t.do(func() error { return os.WriteFile("/proc/sys/"+name, []byte(value), 0o644) })
}
