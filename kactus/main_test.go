package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

// ran is what came of a run of kactus.
type ran struct {
	code           int
	stdout, stderr string
}

func run(env map[string]string, stdin string, args ...string) ran {
	var stdout, stderr bytes.Buffer
	c := cli{
		getenv: func(key string) string { return env[key] },
		args:   args,
		stdin:  strings.NewReader(stdin),
		stdout: &stdout,
		stderr: &stderr,
	}
	code := c.run(context.Background())
	return ran{code, stdout.String(), stderr.String()}
}

const validNetconf = `{"cniVersion": "1.0.0", "name": "n", "type": "kactus",
	"delegates": [{"type": "ptp", "masterPlugin": true}]}`

// withKey returns a JSON object with one more key.
func withKey(object, key string) string { return strings.Replace(object, "{", "{"+key+", ", 1) }

// expectAll fails unless the output has all of words, or is empty if there are none.
func expectAll(t *testing.T, name, got string, words []string) {
	t.Helper()
	if words == nil && got != "" {
		t.Errorf("%s is not empty: %q", name, got)
	}
	for _, w := range words {
		if !strings.Contains(got, w) {
			t.Errorf("no %q in %s: %s", w, name, got)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
