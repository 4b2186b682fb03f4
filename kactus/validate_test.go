package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "05-kactus.conf")
	must(t, os.WriteFile(file, []byte(validNetconf), 0o600))
	tests := []struct {
		name, stdin string
		args        []string
		code        int
		stdout      []string
		stderr      []string
	}{
		{"a valid netconf", validNetconf, nil, 0, []string{"stdin: valid\n"}, nil},
		{"a netconf that declares the capability of selections",
			strings.Replace(validNetconf, "{", `{"capabilities": {"kaloom.com/selection": true}, `, 1), nil, 0,
			[]string{"stdin: valid\n"}, nil},
		{"a file", "", []string{file}, 0, []string{file + ": valid\n"}, nil},
		{"every problem is printed", `{"cniVersion": "3", "foo": 1}`, nil, 1,
			[]string{"stdin: name: ", "stdin: cniVersion: ", "stdin: delegates: ", "stdin: foo: "}, nil},
		{"not JSON", `{`, nil, 1, []string{"stdin: invalid JSON"}, nil},
		{"a file that is missing", "", []string{"/nonexistent/x.conf"}, 1, nil, []string{"/nonexistent/x.conf"}},
		{"two files", "", []string{"a", "b"}, 2, nil, []string{"one file", "Usage"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := run(nil, tt.stdin, append([]string{"validate"}, tt.args...)...)
			if got.code != tt.code {
				t.Errorf("exit code %d, want %d", got.code, tt.code)
			}
			expectAll(t, "stdout", got.stdout, tt.stdout)
			expectAll(t, "stderr", got.stderr, tt.stderr)
		})
	}
}
