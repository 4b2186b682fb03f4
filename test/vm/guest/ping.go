package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// errNoReply is returned when a ping gets no reply in time.
var errNoReply = errors.New("no reply")

// ping sends ICMP echo requests over an interface until it gets a reply, for at most limit. The
// first requests may be lost on a new interface, during neighbor discovery and duplicate address
// detection.
func (p *pod) ping(ifName, address string, limit time.Duration) error {
	to, err := netip.ParseAddr(address)
	if err != nil {
		return err
	}
	var conn net.PacketConn
	err = p.do(func() (err error) {
		conn, err = dialEcho(ifName, to)
		return err
	})
	if err != nil {
		return fmt.Errorf("opening a socket to ping from %s: %w", p.name, err)
	}
	defer conn.Close()
	if err := awaitEcho(conn, to, time.Now().Add(limit)); err != nil {
		return fmt.Errorf("pinging %s from %s over %s for %s: %w", address, p.name, ifName, limit, err)
	}
	return nil
}

// allowEcho lets root open the kernel's ICMP echo sockets, which nobody may do in a new namespace.
func (p *pod) allowEcho() error {
	return p.setSysctl("net/ipv4/ping_group_range", "0 0")
}

// dialEcho opens an ICMP echo socket. The kernel sets identifier and checksum, and delivers only
// replies to the socket's own requests.
func dialEcho(ifName string, to netip.Addr) (net.PacketConn, error) {
	family, protocol := unix.AF_INET, unix.IPPROTO_ICMP
	if to.Is6() {
		family, protocol = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "icmp")
	defer file.Close() // FilePacketConn duplicates the descriptor
	if err := unix.BindToDevice(fd, ifName); err != nil {
		return nil, err
	}
	return net.FilePacketConn(file)
}

// awaitEcho sends ten requests a second until it gets a reply or the deadline passes.
func awaitEcho(conn net.PacketConn, to netip.Addr, deadline time.Time) error {
	const interval = 100 * time.Millisecond
	request := make([]byte, 8) // type, code, checksum, identifier, sequence number
	request[0] = 8
	if to.Is6() {
		request[0] = 128
	}
	reply := make([]byte, 64)
	for time.Now().Before(deadline) {
		// Errors can be temporary, as while an address is tentative. Try again.
		_, _ = conn.WriteTo(request, &net.UDPAddr{IP: to.AsSlice()})
		if err := conn.SetReadDeadline(time.Now().Add(interval)); err != nil {
			return err
		}
		if n, _, err := conn.ReadFrom(reply); err == nil && n >= len(request) {
			return nil
		}
	}
	return errNoReply
}
