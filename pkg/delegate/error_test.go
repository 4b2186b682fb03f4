package delegate

import (
	"strings"
	"testing"
)

func TestError_KeepsThePluginsWords(t *testing.T) {
	for name, c := range map[string]struct {
		script                string
		code                  uint
		suffix                string // of the error
		details, stderr, want string // want is what Words returns
	}{
		"a CNI error": {
			script: `echo why >&2
				echo '{"cniVersion":"1.0.0","code":11,"msg":"no address left","details":"of 10.0.0.0/30"}'; exit 1`,
			code: 11, suffix: "plugin one: no address left", details: "of 10.0.0.0/30", stderr: "why",
			want: "one: code 11; details: of 10.0.0.0/30; stderr: why",
		},
		"a CNI error with a code alone": {
			script: `echo '{"code":7}'; exit 1`,
			code:   7, suffix: "exit status 1",
			want: "one: code 7",
		},
		"a CNI error without a code": {script: `echo '{"msg":"no"}'; exit 1`, suffix: "plugin one: no"},
		"nothing":                    {script: `exit 3`, suffix: "plugin one: exit status 3"},
		"stderr alone": {
			script: `echo 'panic: oh' >&2; exit 2`,
			suffix: "exit status 2", stderr: "panic: oh",
			want: "one: stderr: panic: oh",
		},
		"garbage": {
			script: `echo 'oh no'; exit 1`,
			suffix: `exit status 1, and printed what is not a CNI error: "oh no\n"`,
		},
		"an empty object": {script: `echo '{}'; exit 1`, suffix: `what is not a CNI error: "{}\n"`},
		"another kind of JSON": {
			script: `echo '{"code":"seven"}'; exit 1`,
			suffix: `what is not a CNI error: "{\"code\":\"seven\"}\n"`,
		},
		"a signal": {script: `kill -KILL $$`, suffix: "plugin one: signal: killed"},
		"a long stderr": {
			script: `echo begins >&2; head -c 100000 /dev/zero | tr '\0' x >&2; exit 1`,
			suffix: "exit status 1", stderr: "begins\n" + strings.Repeat("x", maxQuoted-len("begins\n")),
			want: "one: stderr: begins\n" + strings.Repeat("x", maxQuoted-len("begins\n")),
		},
		"a long message": {
			script: `printf '{"code": 7, "msg": "'; head -c 600000 /dev/zero | tr '\0' x; echo '"}'; exit 1`,
			code:   7, suffix: "plugin one: " + strings.Repeat("x", maxQuoted),
			want: "one: code 7",
		},
		"long garbage": {
			script: `head -c 1000 /dev/zero | tr '\0' x; exit 1`,
			suffix: `not a CNI error: "` + strings.Repeat("x", 256) + `"`,
		},
	} {
		for _, operation := range []string{"ADD", "DEL"} {
			t.Run(operation+" "+name, func(t *testing.T) {
				s := newScripts(t)
				s.add("one", c.script)
				_, err := s.runner().Add(t.Context(), newCall(t, onePlugin))
				if operation == "DEL" {
					err = delErr(s.runner().Del(t.Context(), newCall(t, onePlugin)))
				}
				failed := asError(t, err)
				if failed.Code != c.code || failed.Details != c.details || failed.Stderr != c.stderr {
					t.Errorf("code %d, details %q, stderr %q", failed.Code, failed.Details, failed.Stderr)
				}
				if got := failed.Words(); got != c.want {
					t.Errorf("Words: got %q, want %q", got, c.want)
				}
				prefix := operation + " of the delegate green for net1: plugin one: "
				if !strings.HasPrefix(err.Error(), prefix) || !strings.HasSuffix(err.Error(), c.suffix) {
					t.Errorf("got %q, want %q…%q", err, prefix, c.suffix)
				}
			})
		}
	}
}

func TestAdd_ResultThatCannotBeRead(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"nothing":               {`:`, "read its result"},
		"garbage":               {`echo hello`, "read its result"},
		"truncated":             {`echo '{"cniVersion":"1.0.0"'`, "read its result"},
		"an array":              {`echo '[]'`, "read its result"},
		"an unknown version":    {`echo '{"cniVersion":"9.9.9"}'`, "9.9.9"},
		"not an address":        {`echo '{"cniVersion":"1.0.0","ips":[{"address":"here"}]}'`, "read its result"},
		"a null interface":      {`echo '{"cniVersion":"1.0.0","interfaces":[null]}'`, "read its result"},
		"an address without IP": {`echo '{"cniVersion":"1.0.0","ips":[{}]}'`, "read its result: ips[0]"},
		"too many interfaces": {
			`printf '{"cniVersion":"1.0.0","interfaces":[{}'; head -c 4096 /dev/zero | sed 's/\x00/,{}/g'; echo ']}'`,
			"more than 4096 JSON objects",
		},
		"3 MiB": {`head -c 3145728 /dev/zero`, "printed more than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScripts(t)
			s.add("one", c.script)
			result, err := s.runner().Add(t.Context(), newCall(t, onePlugin))
			if err == nil || !strings.Contains(asError(t, err).Error(), c.want) || result != nil {
				t.Errorf("got %v, %v", result, err)
			}
		})
	}
}

// The CNI library reads null as a result without anything, and so do the runtimes that use it.
func TestAdd_ResultOfNull(t *testing.T) {
	s := newScripts(t)
	s.add("one", `echo null`)
	result, err := s.runner().Add(t.Context(), newCall(t, onePlugin))
	if err != nil || result == nil || len(result.IPs)+len(result.Interfaces) != 0 {
		t.Errorf("got %v, %v", result, err)
	}
}
