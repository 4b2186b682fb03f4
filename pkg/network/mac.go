package network

import (
	"fmt"
	"net"
)

// MAC is a unicast EUI-48 in lower case with colons ("0a:00:00:00:00:01"), or empty.
type MAC string

// ParseMAC reads a MAC address in any of the usual notations. It refuses what no device
// can have as its own: group addresses, the zero address, and addresses of another length.
func ParseMAC(s string) (MAC, error) {
	addr, err := net.ParseMAC(s)
	switch {
	case err != nil:
		return "", fmt.Errorf("%.64q is not a MAC address", s)
	case len(addr) != 6:
		return "", fmt.Errorf("%q has %d bytes, where a MAC address of a device has 6", s, len(addr))
	case addr[0]&1 != 0:
		return "", fmt.Errorf("%q is a group address, where a device needs a unicast one", s)
	case addr.String() == "00:00:00:00:00:00":
		return "", fmt.Errorf("%q is no device's address", s)
	}
	return MAC(addr.String()), nil
}
