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

// errNoReply says that a ping was not answered in its time.
var errNoReply = errors.New("no reply")

// ping sends ICMP echo requests over a device until one is answered, for as long as it has patience: a device that is new may have neighbours to find, and an
// IPv6 address to make sure of.
func (p *pod) ping(device, address string, patience time.Duration) error {
	to, err := netip.ParseAddr(address)
	if err != nil {
		return err
	}
	var conn net.PacketConn
	err = p.do(func() (err error) {
		conn, err = dialEcho(device, to)
		return err
	})
	if err != nil {
		return fmt.Errorf("opening a socket to ping from %s: %w", p.name, err)
	}
	defer conn.Close()
	if err := awaitEcho(conn, to, time.Now().Add(patience)); err != nil {
		return fmt.Errorf("pinging %s from %s over %s for %s: %w", address, p.name, device, patience, err)
	}
	return nil
}

// allowEcho lets root open the kernel's own sockets for ICMP echo, which is nobody's right in a new namespace.
func (p *pod) allowEcho() error {
	return p.setSysctl("net/ipv4/ping_group_range", "0 0")
}

// dialEcho opens a socket for ICMP echo: the kernel sees to identifier and checksum, and hands on the replies to its own requests alone.
func dialEcho(device string, to netip.Addr) (net.PacketConn, error) {
	family, protocol := unix.AF_INET, unix.IPPROTO_ICMP
	if to.Is6() {
		family, protocol = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "icmp")
	defer file.Close() // what is made of it has a descriptor of its own
	if err := unix.BindToDevice(fd, device); err != nil {
		return nil, err
	}
	return net.FilePacketConn(file)
}

// awaitEcho sends a request ten times a second.
func awaitEcho(conn net.PacketConn, to netip.Addr, deadline time.Time) error {
	const interval = 100 * time.Millisecond
	request := make([]byte, 8) // type, code, checksum, identifier, sequence number
	request[0] = 8
	if to.Is6() {
		request[0] = 128
	}
	reply := make([]byte, 64)
	for time.Now().Before(deadline) {
		// An error is of this moment, as when the address is not sure yet: the next request may fare better.
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
