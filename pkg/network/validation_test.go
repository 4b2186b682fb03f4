package network

import (
	"strings"
	"testing"
)

func TestValidateName(t *testing.T) {
	expectValid(t, ValidateName, map[string]bool{
		"green": true, "green.example.com": true, strings.Repeat("a", 253): true,
		"": false, "Green": false, "..": false, "a/b": false, "a%2fb": false, strings.Repeat("a", 254): false,
	})
}

func TestValidateNamespace(t *testing.T) {
	expectValid(t, ValidateNamespace, map[string]bool{
		"red": true, strings.Repeat("a", 63): true,
		"": false, "a.b": false, "../x": false, strings.Repeat("a", 64): false,
	})
}

func expectValid(t *testing.T, validate func(string) error, cases map[string]bool) {
	t.Helper()
	for name, valid := range cases {
		if err := validate(name); (err == nil) != valid {
			t.Errorf("%q: got the error %v, want valid = %v", name, err, valid)
		}
	}
}
