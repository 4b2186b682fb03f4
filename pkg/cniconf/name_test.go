package cniconf

import (
	"strings"
	"testing"
)

func TestIsName(t *testing.T) {
	for name, want := range map[string]bool{
		"green":                 true,
		"0":                     true,
		"a":                     true,
		"z":                     true,
		"A":                     true,
		"Z":                     true,
		"9":                     true,
		"a_b.c-D":               true,
		strings.Repeat("x", 10): true,
		strings.Repeat("x", 11): false,
		"":                      false,
		".":                     false,
		"-a":                    false,
		"_a":                    false,
		"a/b":                   false,
		"a b":                   false,
		"a;b":                   false,
		"a=b":                   false,
		"a\n":                   false,
		"a\x00":                 false,
		"é":                     false,
		"aé":                    false,
		// The neighbors of letters and digits in ASCII.
		"a`": false,
		"a{": false,
		"a@": false,
		"a[": false,
		"a:": false,
	} {
		if got := IsName(name, 10); got != want {
			t.Errorf("IsName(%q, 10) = %v, want %v", name, got, want)
		}
	}
}

func TestIsNetworkName(t *testing.T) {
	for name, want := range map[string]bool{
		"green":                  true,
		"..":                     false,
		strings.Repeat("x", 253): true,
		strings.Repeat("x", 254): false,
	} {
		if got := IsNetworkName(name); got != want {
			t.Errorf("IsNetworkName(%q) = %v, want %v", name, got, want)
		}
	}
}
