package network

import (
	"fmt"
	"net"
)

// A MAC holds a unicast EUI-48 address in lower case with colons, such as "0a:00:00:00:00:01", or
// is empty.
type MAC string

// ParseMAC parses a MAC address in any notation that net.ParseMAC reads. It returns an error for
// addresses that no interface can have: group addresses, the zero address, and addresses of another
// length than 6 bytes.
func ParseMAC(s string) (MAC, error) {
	addr, err := net.ParseMAC(s)
	switch {
	case err != nil:
		return "", fmt.Errorf("%.64q is not a MAC address", s)
	case len(addr) != 6:
		return "", fmt.Errorf("%q is a MAC address of %d bytes, must be 6", s, len(addr))
	case addr[0]&1 != 0:
		return "", fmt.Errorf("%q is a group address, must be a unicast address", s)
	case addr.String() == "00:00:00:00:00:00":
		return "", fmt.Errorf("%q is the zero address, must be a unicast address", s)
	}
	return MAC(addr.String()), nil
}
