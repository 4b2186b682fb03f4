package cniconf

import (
	"strings"
	"testing"
)

func TestANameIsOneSafeWord(t *testing.T) {
	for _, c := range []struct {
		name string
		want bool
	}{
		{"green", true},
		{"0", true},
		{"a_b.c-D", true},
		{strings.Repeat("x", 10), true},
		{strings.Repeat("x", 11), false},
		{"", false},
		{".", false},
		{"-a", false},
		{"_a", false},
		{"a/b", false},
		{"a b", false},
		{"a;b", false},
		{"a=b", false},
		{"a\n", false},
		{"a\x00", false},
		{"é", false},
		{"aé", false},
	} {
		if got := IsName(c.name, 10); got != c.want {
			t.Errorf("IsName(%q, 10) = %v; want %v", c.name, got, c.want)
		}
	}
}
