package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
)

// runAsNull runs kactus under the name null.
func runAsNull(env map[string]string, stdin string) ran {
	var stdout, stderr bytes.Buffer
	c := cli{
		name:   "null",
		getenv: func(key string) string { return env[key] },
		stdin:  strings.NewReader(stdin),
		stdout: &stdout,
		stderr: &stderr,
	}
	code := c.run(context.Background())
	return ran{code, stdout.String(), stderr.String()}
}

func TestNull(t *testing.T) {
	const conf = `{"cniVersion": "1.1.0", "name": "green", "type": "vlan", "ipam": {"type": "null"}}`
	tests := []struct {
		name   string
		env    map[string]string
		stdin  string
		code   int
		stdout []string
	}{
		{"without an operation", nil, "", 0, []string{"null", "IPAM", "kactus " + version}},
		{"VERSION", map[string]string{"CNI_COMMAND": "VERSION"}, "", 0, []string{"0.1.0", "1.1.0"}},
		{"DEL", map[string]string{"CNI_COMMAND": "DEL"}, conf, 0, nil},
		{"GC", map[string]string{"CNI_COMMAND": "GC"}, conf, 0, nil},
		{"ADD without a container", map[string]string{"CNI_COMMAND": "ADD"}, conf, 1,
			[]string{`"code": 4`, "CNI_CONTAINERID"}},
		{"ADD without a configuration", map[string]string{"CNI_COMMAND": "ADD"}, "", 1, []string{`"code": 6`}},
		{"an unknown operation", map[string]string{"CNI_COMMAND": "UPDATE"}, conf, 1, []string{`"code": 4`, "UPDATE"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := runAsNull(tt.env, tt.stdin)
			if got.code != tt.code || got.stderr != "" {
				t.Errorf("exit code %d, want %d; stderr %q", got.code, tt.code, got.stderr)
			}
			expectAll(t, "stdout", got.stdout, tt.stdout)
			if tt.env != nil && got.stdout != "" && !json.Valid([]byte(got.stdout)) {
				t.Errorf("not JSON: %s", got.stdout)
			}
		})
	}
}
