package network

import (
	"strings"
	"testing"
)

func TestParseIP(t *testing.T) {
	tests := []struct {
		in, addr     string
		prefixLength int
	}{
		{"192.168.42.10/24", "192.168.42.10", 24},
		{"192.168.42.10/32", "192.168.42.10", 32},
		{"0.0.0.0/0", "0.0.0.0", 0},
		{"fd10:42:0::1/64", "fd10:42::1", 64},
		{"::ffff:10.0.0.1/120", "10.0.0.1", 24},
		{"192.168.42.10", "192.168.42.10", -1},
		{"fd10:42::0001", "fd10:42::1", -1},
		{"::ffff:10.0.0.1", "10.0.0.1", -1},
	}
	for _, tt := range tests {
		addr, prefixLength, err := ParseIP(tt.in)
		if err != nil || addr.String() != tt.addr || prefixLength != tt.prefixLength {
			t.Errorf("%s: got %s, %d, %v", tt.in, addr, prefixLength, err)
		}
	}
}

func TestParseIP_Errors(t *testing.T) {
	for _, in := range []string{
		"", "/", "10.0.0", "10.0.0.1/", "10.0.0.1/33", "10.0.0.1/-1", "10.0.0.1/024", "10.0.0.01", "fe80::1%eth0",
		"fe80::1%eth0/64", "::ffff:10.0.0.1/64", "10.0.0.1/255.0.0.0", "host", " 10.0.0.1", "10.0.0.1;MAC=1",
	} {
		if addr, prefixLength, err := ParseIP(in); err == nil || !strings.Contains(err.Error(), "must be an address") {
			t.Errorf("%q: got %s, %d, %v", in, addr, prefixLength, err)
		}
	}
}
