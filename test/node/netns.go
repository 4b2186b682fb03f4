package node

import (
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// NewNetns makes a network namespace whose loopback interface is up, and mounts it on a file that
// it creates at path, as container runtimes do for a Pod.
func NewNetns(path string) error {
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	return OnOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		if err := setUp("lo"); err != nil {
			return err
		}
		return unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
	})
}

// RemoveNetns unmounts the network namespace at path and removes the file. Nothing happens if there
// is none. The namespace ends when no process is in it.
func RemoveNetns(path string) {
	_ = unix.Unmount(path, unix.MNT_DETACH)
	_ = os.Remove(path)
}

// OnOwnThread calls do on a thread that ends with it, and returns its error: do may take the thread
// into other namespaces. That is never the main thread, which cannot end before the process, and
// whose namespaces /proc/self shows as those of the process.
func OnOwnThread(do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			done <- OnOwnThread(do)
			runtime.UnlockOSThread()
			return
		}
		done <- do() // the thread stays locked, so that it ends with the goroutine
	}()
	return <-done
}

// setUp sets an interface up.
func setUp(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}
