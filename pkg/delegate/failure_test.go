package delegate

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	types100 "github.com/containernetworking/cni/pkg/types/100"
)

func TestAFailingPluginsWordsAreKept(t *testing.T) {
	cases := map[string]struct {
		script               string
		code                 uint
		ends, details, quote string
	}{
		"a CNI error": {
			script: `echo why >&2; echo '{"cniVersion":"1.0.0","code":11,"msg":"no address left","details":"the range is 10.0.0.0/30"}'; exit 1`,
			code:   11, ends: "plugin one: no address left", details: "the range is 10.0.0.0/30", quote: "why",
		},
		"a CNI error with a code alone": {script: `echo '{"code":7}'; exit 1`, code: 7, ends: "exit status 1"},
		"a CNI error without a code":    {script: `echo '{"msg":"no"}'; exit 1`, ends: "plugin one: no"},
		"nothing":                       {script: `exit 3`, ends: "plugin one: exit status 3"},
		"stderr alone":                  {script: `echo 'panic: oh' >&2; exit 2`, ends: "exit status 2", quote: "panic: oh"},
		"garbage":                       {script: `echo 'oh no'; exit 1`, ends: `exit status 1, and printed what is not a CNI error: "oh no\n"`},
		"an empty object":               {script: `echo '{}'; exit 1`, ends: `what is not a CNI error: "{}\n"`},
		"another kind of JSON":          {script: `echo '{"code":"seven"}'; exit 1`, ends: `what is not a CNI error: "{\"code\":\"seven\"}\n"`},
		"a signal":                      {script: `kill -KILL $$`, ends: "plugin one: signal: killed"},
		"a long tale": {
			script: `echo begins >&2; head -c 100000 /dev/zero | tr '\0' x >&2; exit 1`,
			ends:   "exit status 1", quote: "begins\n" + strings.Repeat("x", maxStderr-len("begins\n")),
		},
	}
	for name, c := range cases {
		for _, verb := range []string{"ADD", "DEL"} {
			t.Run(verb+" "+name, func(t *testing.T) {
				f := newFolder(t)
				f.plugin("one", c.script)
				_, err := f.runner().Add(t.Context(), callOf(t, `{"type": "one"}`))
				if verb == "DEL" {
					err = f.runner().Del(t.Context(), callOf(t, `{"type": "one"}`))
				}
				failed := failure(t, err)
				if failed.Code != c.code || failed.Details != c.details || failed.Stderr != c.quote {
					t.Errorf("code %d, details %q, stderr %q (%d bytes)", failed.Code, failed.Details, failed.Stderr, len(failed.Stderr))
				}
				if want := verb + " of the delegate green for net1: plugin one: "; !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), c.ends) {
					t.Errorf("it says %q", err)
				}
			})
		}
	}
}

func TestWordsAreWhatAPluginSaidBesideItsMessage(t *testing.T) {
	for want, e := range map[string]Error{
		"":                                     {Plugin: "one"},
		"one: code 7":                          {Plugin: "one", Code: 7},
		"one: stderr: oh":                      {Plugin: "one", Stderr: "oh"},
		"one: code 11; details: d; stderr: oh": {Plugin: "one", Code: 11, Details: "d", Stderr: "oh"},
	} {
		if got := e.Words(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestAResultThatCannotBeReadIsAFailure(t *testing.T) {
	for name, c := range map[string]struct{ script, says string }{
		"nothing":            {`:`, "read its result"},
		"garbage":            {`echo hello`, "read its result"},
		"cut off":            {`echo '{"cniVersion":"1.0.0"'`, "read its result"},
		"an array":           {`echo '[]'`, "read its result"},
		"an unknown version": {`echo '{"cniVersion":"9.9.9"}'`, "9.9.9"},
		"a bad address":      {`echo '{"cniVersion":"1.0.0","ips":[{"address":"here"}]}'`, "read its result"},
		"too many devices":   {`printf '{"cniVersion":"1.0.0","interfaces":[{}'; head -c 4096 /dev/zero | sed 's/\x00/,{}/g'; echo ']}'`, "more than 4096 objects"},
		"3 MiB":              {`head -c 3145728 /dev/zero`, "it printed more than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			f.plugin("one", c.script)
			result, err := f.runner().Add(t.Context(), callOf(t, `{"type": "one"}`))
			if err == nil || !strings.Contains(failure(t, err).Error(), c.says) {
				t.Errorf("got %v, %v", result, err)
			}
		})
	}
}

func TestAResultOfAnotherVersionIsConvertedToTheChains(t *testing.T) {
	for name, c := range map[string]struct{ version, result string }{
		"older":                 {"1.0.0", `{"cniVersion":"0.3.1","ips":[{"version":"4","address":"10.0.0.1/24"}]}`},
		"newer":                 {"0.3.1", `{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.1/24"}]}`},
		"of the oldest version": {"1.0.0", `{"cniVersion":"0.1.0","ip4":{"ip":"10.0.0.1/24"}}`},
		"without a version":     {"1.0.0", `{"ips":[{"address":"10.0.0.1/24"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			f.plugin("one", `echo '`+c.result+`'`)
			result, err := f.runner().Add(t.Context(), callOf(t, `{"type": "one", "cniVersion": "`+c.version+`"}`))
			if err != nil {
				t.Fatal(err)
			}
			current, err := types100.NewResultFromResult(result)
			if err != nil || result.Version() != c.version || current.IPs[0].Address.String() != "10.0.0.1/24" {
				t.Errorf("got %+v of the version %s, %v", current, result.Version(), err)
			}
		})
	}
}

// The CNI library takes null for a result that says nothing, and so do the runtimes that use it.
func TestAResultOfNullSaysNothing(t *testing.T) {
	f := newFolder(t)
	f.plugin("one", `echo null`)
	result, err := f.runner().Add(t.Context(), callOf(t, `{"type": "one"}`))
	if err != nil || result.Version() != "1.0.0" || len(result.(*types100.Result).IPs) != 0 {
		t.Errorf("got %v, %v", result, err)
	}
}

func TestFindSaysWhichPluginIsMissing(t *testing.T) {
	f := newFolder(t)
	f.plugin("one", `:`)
	if err := os.Mkdir(filepath.Join(f.dir, "three"), 0o755); err != nil {
		t.Fatal(err)
	}
	for config, missing := range map[string]string{
		`{"type": "one"}`: "",
		`{"name": "a", "plugins": [{"type": "one"}, {"type": "two"}]}`: "two",
		`{"type": "three"}`:  "three", // a folder
		`{"type": "bridge"}`: "",
	} {
		err := f.runner().Find(chainOf(t, config))
		if (missing == "") != (err == nil) || missing != "" && (!errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "there is no "+missing+" in CNI_PATH")) {
			t.Errorf("%s: %v", config, err)
		}
	}
	_, err := f.runner().Add(t.Context(), callOf(t, `{"type": "two"}`))
	if !errors.Is(err, ErrMissing) || failure(t, err).Plugin != "two" {
		t.Errorf("ADD: %v", err)
	}
}

func TestAPluginThatCannotBeRunIsAsGoodAsMissing(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		found   bool
		says    string
	}{
		"without the execute bit": {"#!/bin/sh\n", 0o600, false, "one may not be executed"},
		"no program":              {"hello", 0o700, true, "exec format error"},
		"without an interpreter":  {"#!/no/such\n", 0o700, true, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			if err := os.WriteFile(filepath.Join(f.dir, "one"), []byte(c.content), c.mode); err != nil {
				t.Fatal(err)
			}
			if err := f.runner().Find(chainOf(t, `{"type": "one"}`)); (err == nil) != c.found {
				t.Errorf("Find: %v", err)
			}
			_, addErr := f.runner().Add(t.Context(), callOf(t, `{"type": "one"}`))
			for _, err := range []error{addErr, f.runner().Del(t.Context(), callOf(t, `{"type": "one"}`))} {
				if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), c.says) || failure(t, err).Plugin != "one" {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}

func TestKactusUnderAnotherNameIsNotItsOwnDelegate(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, link := range map[string]func(from, to string) error{"symbolic link": os.Symlink, "hard link": os.Link} {
		t.Run(name, func(t *testing.T) {
			dir, err := os.MkdirTemp(filepath.Dir(self), "links-") // a hard link stays on one file system
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			if err := link(self, filepath.Join(dir, "bridge")); err != nil {
				t.Fatal(err)
			}
			r := Runner{Path: []string{dir, pluginDir}}
			want := filepath.Join(dir, "bridge") + " is kactus itself"
			_, addErr := r.Add(t.Context(), callOf(t, `{"type": "bridge"}`))
			for _, err := range []error{r.Find(chainOf(t, `{"type": "bridge"}`)), addErr, r.Del(t.Context(), callOf(t, `{"type": "bridge"}`))} {
				if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, ErrMissing) {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}
