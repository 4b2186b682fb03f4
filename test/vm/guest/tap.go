package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A tap captures the frames on an interface.
type tap struct {
	fd int
}

// tap starts to capture on an interface of the node, until close is called.
func (n *node) tap(ifName string) (tap, error) {
	link, err := n.links.LinkByName(ifName)
	if err != nil {
		return tap{}, fmt.Errorf("finding the interface %s: %w", ifName, err)
	}
	t := tap{}
	err = n.do(func() (err error) {
		// Protocol 0: the socket receives nothing until it is bound.
		t.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		return err
	})
	if err != nil {
		return tap{}, fmt.Errorf("opening a packet socket: %w", err)
	}
	err = errors.Join(
		unix.SetsockoptInt(t.fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1),
		unix.Bind(t.fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: link.Attrs().Index}),
	)
	if err != nil {
		t.close()
		return tap{}, fmt.Errorf("listening on %s: %w", ifName, err)
	}
	return t, nil
}

func (t tap) close() { unix.Close(t.fd) }

func networkOrder(n uint16) uint16 { return n>>8 | n<<8 }

// untagged stands for a frame without a tag. VLAN IDs are greater.
const untagged = 0

// tagsTo returns the VLAN IDs in the tags of the frames with IPv4 packets to an address that have
// been captured so far.
func (t tap) tagsTo(address string) ([]int, error) {
	to, err := netip.ParseAddr(address)
	if err != nil {
		return nil, err
	}
	var tags []int
	frame, control := make([]byte, 2048), make([]byte, 256)
	for {
		n, m, _, _, err := unix.Recvmsg(t.fd, frame, control, 0)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return tags, nil
		case err != nil:
			return nil, fmt.Errorf("reading frames: %w", err)
		case ipv4To(frame[:n]) != to:
			continue
		}
		tag, err := tagOf(control[:m])
		if err != nil {
			return nil, err
		}
		tags = append(tags, tag)
	}
}

// ipv4To returns the destination of a frame's IPv4 packet, or the zero Addr for other frames. The
// kernel has removed the tag from the frame.
func ipv4To(frame []byte) netip.Addr {
	const typeOffset, toOffset = 12, 14 + 16
	if len(frame) < toOffset+net.IPv4len || int(frame[typeOffset])<<8|int(frame[typeOffset+1]) != unix.ETH_P_IP {
		return netip.Addr{}
	}
	return netip.AddrFrom4([net.IPv4len]byte(frame[toOffset:]))
}

// tagOf returns the tag that the kernel removed from a frame, from the control message.
func tagOf(control []byte) (int, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return 0, fmt.Errorf("parsing the control message of a frame: %w", err)
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_PACKET || m.Header.Type != unix.PACKET_AUXDATA ||
			len(m.Data) < int(unsafe.Sizeof(unix.TpacketAuxdata{})) {
			continue
		}
		aux := *(*unix.TpacketAuxdata)(unsafe.Pointer(&m.Data[0]))
		if aux.Status&unix.TP_STATUS_VLAN_VALID == 0 {
			return untagged, nil
		}
		const idBits = 0x0fff // the other bits are the priority
		return int(aux.Vlan_tci & idBits), nil
	}
	return 0, errors.New("reading the tag of a frame: no auxiliary data")
}
