package delegate

import (
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
)

func TestFind_Missing(t *testing.T) {
	s, other := newScripts(t), newScripts(t)
	s.add("one", `:`)
	other.add("bridge", `:`)
	must(t, os.Mkdir(s.path("three"), 0o755))
	for config, missing := range map[string]string{
		onePlugin: "",
		`{"name": "a", "plugins": [{"type": "one"}, {"type": "two"}]}`: "two",
		`{"type": "three"}`:  "three", // a directory
		`{"type": "bridge"}`: "",
	} {
		t.Run(config, func(t *testing.T) {
			err := s.runner(other.dir).Find(newChain(t, config))
			if missing == "" {
				must(t, err)
				return
			}
			if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "there is no "+missing+" in CNI_PATH") {
				t.Errorf("got %v", err)
			}
		})
	}
	_, err := s.runner().Add(t.Context(), newCall(t, `{"type": "two"}`))
	if !errors.Is(err, ErrMissing) || asError(t, err).Plugin != "two" {
		t.Errorf("ADD: %v", err)
	}
}

func TestFind_LooksUpOnce(t *testing.T) {
	s, other := newScripts(t), newScripts(t)
	s.addRecording("one", 1)
	other.addRecording("one", 2)
	r := s.runner(other.dir)
	path, err := r.Plugins.Find("one")
	if err != nil || path != s.path("one") {
		t.Fatalf("got %s, %v", path, err)
	}
	must(t, os.Remove(path))
	if again, err := r.Plugins.Find("one"); err != nil || again != path {
		t.Errorf("again: got %s, %v", again, err)
	}
	for name, err := range map[string]error{
		"DEL":   delErr(r.Del(t.Context(), newCall(t, onePlugin))),
		"CHECK": r.Check(t.Context(), newCall(t, onePlugin)),
	} {
		if !errors.Is(err, ErrMissing) || asError(t, err).Plugin != "one" {
			t.Errorf("%s of the plugin that was removed: %v", name, err)
		}
	}
	if _, err := r.Add(t.Context(), newCall(t, onePlugin)); !errors.Is(err, ErrMissing) {
		t.Errorf("ADD of the plugin that was removed: %v", err)
	}
}

func TestFind_LooksUpAMissingPluginAgain(t *testing.T) {
	s := newScripts(t)
	r := s.runner()
	if _, err := r.Plugins.Find("one"); !errors.Is(err, ErrMissing) {
		t.Errorf("got %v", err)
	}
	s.add("one", `:`)
	if path, err := r.Plugins.Find("one"); err != nil || path != s.path("one") {
		t.Errorf("after the plugin was installed: %s, %v", path, err)
	}
}

func TestFind_ConcurrentUse(t *testing.T) {
	s := newScripts(t)
	s.add("one", `:`)
	s.add("two", `:`)
	r := s.runner()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for _, pluginType := range []string{"one", "two", "three"} {
				_, _ = r.Plugins.Find(pluginType)
			}
		})
	}
	all.Wait()
}

func TestFind_NotExecutable(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		found   bool
		want    string
	}{
		"without the execute bit": {"#!/bin/sh\n", 0o600, false, "one is not executable"},
		"not a program":           {"hello", 0o700, true, "exec format error"},
		"without an interpreter":  {"#!/no/such\n", 0o700, true, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScripts(t)
			must(t, os.WriteFile(s.path("one"), []byte(c.content), c.mode))
			if err := s.runner().Find(newChain(t, onePlugin)); (err == nil) != c.found {
				t.Errorf("Find: %v", err)
			}
			_, addErr := s.runner().Add(t.Context(), newCall(t, onePlugin))
			failed := delErr(s.runner().Del(t.Context(), newCall(t, onePlugin)))
			for _, err := range []error{addErr, failed} {
				if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %q", err, c.want)
				}
				if got := asError(t, err).Plugin; got != "one" {
					t.Errorf("the error is of the plugin %s", got)
				}
			}
		})
	}
}

func TestFind_KactusUnderAnotherName(t *testing.T) {
	self, err := os.Executable()
	must(t, err)
	s := newScripts(t)
	must(t, os.Symlink(self, s.path("bridge")))
	testKactusItself(t, s)
}

// testKactusItself checks that the plugin bridge, which is this program, is not run, although there
// is another one in a directory that comes later.
func testKactusItself(t *testing.T, s scripts) {
	t.Helper()
	other := newScripts(t)
	other.add("bridge", `:`)
	call := newCall(t, `{"type": "bridge"}`)
	_, addErr := s.runner(other.dir).Add(t.Context(), call)
	failed := delErr(s.runner(other.dir).Del(t.Context(), call))
	want := s.path("bridge") + " is kactus itself"
	for _, err := range []error{s.runner(other.dir).Find(call.Config), addErr, failed} {
		if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, ErrMissing) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
