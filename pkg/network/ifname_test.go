package network

import "testing"

func TestDeviceName(t *testing.T) {
	for name, want := range map[string]string{
		"green": "net9f27410725ab", "blue": "net48d6215903df", "data": "net8d777f385d3d",
		"n-009b5fbe0257": "netc78e9611f93e", "n-ee6b99c6809e": "netc78e9611f93e", // a collision
	} {
		t.Run(name, func(t *testing.T) {
			if got := DeviceName(name); got != want || len(got) != 15 {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}
