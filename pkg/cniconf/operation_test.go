package cniconf

import (
	"fmt"
	"testing"
)

func TestSupports(t *testing.T) {
	for _, tt := range []struct {
		chain Chain
		want  string
	}{
		{Chain{CNIVersion: "0.1.0"}, "[ADD DEL]"},
		{Chain{CNIVersion: "0.3.1"}, "[ADD DEL]"},
		{Chain{CNIVersion: "0.4.0"}, "[ADD DEL CHECK]"},
		{Chain{CNIVersion: "1.0.0"}, "[ADD DEL CHECK]"},
		{Chain{CNIVersion: "1.1.0"}, "[ADD DEL CHECK GC STATUS]"},
		{Chain{CNIVersion: "1.1.0", DisableCheck: true}, "[ADD DEL GC STATUS]"},
		{Chain{CNIVersion: "1.1.0", DisableGC: true}, "[ADD DEL CHECK STATUS]"},
		{Chain{CNIVersion: "not a version"}, "[]"}, // a record of the ledger can have one
	} {
		got := []string{}
		for _, operation := range []string{"ADD", "DEL", "CHECK", "GC", "STATUS"} {
			if tt.chain.Supports(operation) {
				got = append(got, operation)
			}
		}
		if fmt.Sprint(got) != tt.want {
			t.Errorf("%+v: got %v, want %s", tt.chain, got, tt.want)
		}
	}
}
