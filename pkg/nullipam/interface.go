package nullipam

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
)

// The functions in this file work in the network namespace of the calling thread.

// patience is how long assign waits for the kernel's address, which is there at once if it comes at
// all soon. Without a carrier, it may never come.
const patience = 200 * time.Millisecond

// sysctls is the directory with the IPv6 settings of each interface.
var sysctls = "/proc/sys/net/ipv6/conf"

// The values of addr_gen_mode.
const genModeNone = "1"

// requireIPv6 returns an error if the kernel has no IPv6.
func requireIPv6() error {
	if _, err := os.Stat(sysctls); err != nil {
		return fail(types.ErrPluginNotAvailable,
			"the kernel has no IPv6 (%s: %v), and the IPAM plugin null needs IPv6 link-local addresses",
			sysctls, errors.Unwrap(err))
	}
	return nil
}

// assign returns the result with the address for the interface, which is up and without that
// address then, unless the main plugin has not made it yet.
func assign(at attachment, network string) (*cniconf.Result, error) {
	if err := requireIPv6(); err != nil {
		return nil, err
	}
	ip := &types100.IPConfig{}
	link, err := netlink.LinkByName(at.ifName)
	var missing netlink.LinkNotFoundError
	switch {
	case errors.As(err, &missing):
		ip.Address, ip.Gateway = deriveAddress(at, network), net.ParseIP(gateway)
	case err != nil:
		return nil, fmt.Errorf("look up the interface: %w", err)
	default:
		if ip.Address, err = take(link, at, network); err != nil {
			return nil, err
		}
	}
	return &cniconf.Result{CNIVersion: types100.ImplementedSpecVersion, IPs: []*types100.IPConfig{ip}}, nil
}

// take sets the interface up and takes its link-local address away.
func take(link netlink.Link, at attachment, network string) (net.IPNet, error) {
	watch, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return net.IPNet{}, fmt.Errorf("watch the addresses: %w", err)
	}
	defer watch.Close()
	if err := turnOn(link); err != nil {
		return net.IPNet{}, err
	}
	addr, err := await(watch, link)
	if err == nil && addr == nil {
		addr, err = forestall(link)
	}
	switch {
	case err != nil:
		return net.IPNet{}, err
	case addr == nil:
		return formAddress(link, at, network), nil
	}
	if err := netlink.AddrDel(link, addr); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
		return net.IPNet{}, fmt.Errorf("take the address %s away: %w", addr.IPNet, err)
	}
	return *addr.IPNet, nil
}

// turnOn turns IPv6 on and sets the interface up, which makes the kernel give an address. IPv6 is
// turned on anew where the interface has lost its addresses while up, as by an ADD before: the
// kernel gives them only once.
func turnOn(link netlink.Link) error {
	name, up := link.Attrs().Name, link.Attrs().Flags&net.FlagUp != 0
	off, err := readSysctl(name, "disable_ipv6")
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the kernel has no IPv6 on this interface, whose MTU is %d: IPv6 needs 1280",
			link.Attrs().MTU)
	}
	if err != nil {
		return err
	}
	anew := off != "0"
	if up && !anew {
		addrs, err := addresses(link)
		if err != nil {
			return err
		}
		anew = len(addrs) == 0
	}
	if anew {
		err := errors.Join(writeSysctl(name, "disable_ipv6", "1"), writeSysctl(name, "disable_ipv6", "0"))
		if err != nil {
			return fmt.Errorf("turn IPv6 on: %w", err)
		}
	}
	// A VLAN cannot be up before its master is. The main plugin decides whether that is an error.
	if err := netlink.LinkSetUp(link); err != nil && !errors.Is(err, unix.ENETDOWN) {
		return fmt.Errorf("set the interface up: %w", err)
	}
	return nil
}

// await returns the interface's link-local address as soon as the kernel gives one, or nil if none
// comes in time.
func await(watch *nl.NetlinkSocket, link netlink.Link) (*netlink.Addr, error) {
	deadline := time.Now().Add(patience)
	mode, err := readSysctl(link.Attrs().Name, "addr_gen_mode")
	if err != nil {
		return nil, err
	}
	for {
		addr, err := findLinkLocal(link)
		left := time.Until(deadline)
		if addr != nil || err != nil || mode == genModeNone || left <= 0 {
			return addr, err
		}
		timeout := unix.NsecToTimeval(max(left, time.Millisecond).Nanoseconds()) // zero would be none
		if err := watch.SetReceiveTimeout(&timeout); err != nil {
			return nil, err
		}
		_, _, err = watch.Receive()
		if err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.ENOBUFS) {
			return nil, fmt.Errorf("watch the addresses: %w", err)
		}
	}
}

// forestall keeps the kernel from giving an address from now on, such as when the interface gets
// its carrier, since the main plugin cannot add one that is there. It returns the address that has
// come meanwhile, or nil.
func forestall(link netlink.Link) (*netlink.Addr, error) {
	if err := writeSysctl(link.Attrs().Name, "addr_gen_mode", genModeNone); err != nil {
		return nil, err
	}
	return findLinkLocal(link)
}

// findLinkLocal returns the interface's link-local address, or nil if there is none.
func findLinkLocal(link netlink.Link) (*netlink.Addr, error) {
	addrs, err := addresses(link)
	if err != nil {
		return nil, err
	}
	for _, addr := range addrs {
		if isLinkLocal(addr.IP) {
			return &addr, nil
		}
	}
	return nil, nil
}

// addresses returns the IPv6 addresses of the interface.
func addresses(link netlink.Link) ([]netlink.Addr, error) {
	for {
		addrs, err := netlink.AddrList(link, netlink.FAMILY_V6)
		switch {
		case errors.Is(err, netlink.ErrDumpInterrupted): // changed in between
		case err != nil:
			return nil, fmt.Errorf("list the addresses: %w", err)
		default:
			return addrs, nil
		}
	}
}

// expect returns an error unless the interface has all of the addresses.
func expect(at attachment, want []net.IPNet) error {
	link, err := netlink.LinkByName(at.ifName)
	if err != nil {
		return fail(CodeCheck, "check %s in %s: look up the interface: %v", at.ifName, at.netns, err)
	}
	addrs, err := addresses(link)
	if err != nil {
		return fmt.Errorf("check %s in %s: %w", at.ifName, at.netns, err)
	}
	for _, w := range want {
		if !slices.ContainsFunc(addrs, func(a netlink.Addr) bool { return sameAddress(*a.IPNet, w) }) {
			return fail(CodeCheck, "check %s in %s: the interface no longer has the link-local address %s of its ADD",
				at.ifName, at.netns, w.String())
		}
	}
	return nil
}

func readSysctl(ifName, key string) (string, error) {
	value, err := os.ReadFile(filepath.Join(sysctls, ifName, key))
	return strings.TrimSpace(string(value)), err
}

func writeSysctl(ifName, key, value string) error {
	return os.WriteFile(filepath.Join(sysctls, ifName, key), []byte(value), 0o644)
}
