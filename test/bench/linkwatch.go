package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A linkWatch follows the interfaces of a sandbox: the kernel tells it of each change.
type linkWatch struct {
	changes *nl.NetlinkSocket
	handle  *netlink.Handle
}

// watchLinks begins to follow the sandbox. What happens from now on is not missed.
func (s *sandbox) watchLinks() (*linkWatch, error) {
	at, err := netns.GetFromPath(s.path)
	if err != nil {
		return nil, err
	}
	defer at.Close()
	changes, err := nl.SubscribeAt(at, netns.None(), unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR)
	if err != nil {
		return nil, err
	}
	handle, err := netlink.NewHandleAt(at, unix.NETLINK_ROUTE)
	if err != nil {
		changes.Close()
		return nil, err
	}
	return &linkWatch{changes: changes, handle: handle}, nil
}

func (w *linkWatch) close() {
	w.changes.Close()
	w.handle.Close()
}

// awaitAfter waits until the sandbox is as the hot operation makes it: the interface is there with
// an address, or is gone. It returns that moment.
func (w *linkWatch) awaitAfter(op operation, ifName string) (time.Time, error) {
	const limit = time.Minute
	timeout := unix.NsecToTimeval(limit.Nanoseconds())
	if err := w.changes.SetReceiveTimeout(&timeout); err != nil {
		return time.Time{}, err
	}
	for begin := time.Now(); time.Since(begin) < limit; {
		if done, err := w.isAfter(op, ifName); err != nil || done {
			return time.Now(), err
		}
		// ENOBUFS means that changes were missed, of which the next look tells.
		if _, _, err := w.changes.Receive(); err != nil && !errors.Is(err, unix.ENOBUFS) {
			return time.Time{}, fmt.Errorf("waiting for a %s of %s: %w", op, ifName, err)
		}
	}
	return time.Time{}, fmt.Errorf("waiting for a %s of %s: %w", op, ifName, errNoEnd)
}

// isAfter reports whether the interface is as the hot operation leaves it.
func (w *linkWatch) isAfter(op operation, ifName string) (bool, error) {
	link, err := w.handle.LinkByName(ifName)
	var none netlink.LinkNotFoundError
	if errors.As(err, &none) {
		return op == hotDel, nil
	}
	if err != nil || op == hotDel {
		return false, err
	}
	addresses, err := w.handle.AddrList(link, netlink.FAMILY_V4)
	return len(addresses) > 0, err
}
