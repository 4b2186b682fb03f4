//prose:ignore-words

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const wideText = "a line of text that goes on until no column is left, and then some, so that a reader has to scroll."

func TestCheck(t *testing.T) {
	tests := []struct {
		name    string
		file    string
		content string
		want    []string // what each finding contains
	}{
		{"a wide comment", "a.go", "package a\n\n// " + wideText + "\n", []string{"a.go:3: 102 columns"}},
		{"a comment of 100 columns", "a.go", "package a\n\n// " + wideText[:97] + "\n", nil},
		{"a tab counts four columns", "a.go",
			"package a\n\nfunc f() {\n\t// " + wideText[:94] + "\n}\n",
			[]string{"a.go:4: 101 columns"},
		},
		{"a wide block comment", "a.go", "package a\n\n/*\n" + wideText + " up\n*/\n", []string{"a.go:4: 102 columns"}},
		{"characters count, not bytes", "a.go", "package a\n\n// " + strings.Repeat("é ", 48) + "\n", nil},
		{"a comment behind code is code", "a.go", "package a\n\nvar x = 1 // " + wideText + "\n", nil},
		{"a word that cannot wrap", "a.go", "package a\n\n// https://" + strings.Repeat("x", 120) + "\n", nil},
		{"indented code in a comment", "a.go", "package a\n\n//\t" + wideText + "\n", nil},
		{"a directive", "a.go", "package a\n\n//go:generate " + wideText + "\n", nil},
		{"a wide string", "a.go", "package a\n\nvar x = `\n// " + wideText + "\n`\n", nil},
		{"an ignored line", "a.go", "package a\n\n// prose:ignore " + wideText + "\n", nil},

		{"a wide paragraph", "a.md", "# Title\n\n" + wideText + " or so\n", []string{"a.md:3: 105 columns"}},
		{"a wide list item", "a.md", "* " + wideText + "\n", []string{"a.md:1: 101 columns"}},
		{"a table, code and a link's target", "a.md",
			"| " + wideText + " |\n\n```\n" + wideText + " up\n```\n\n[a]: " + wideText + "\n",
			nil,
		},
		{"text behind code", "a.md", "```sh\nls\n```\n" + wideText + " up\n", []string{"a.md:4:"}},
		{"a link that cannot wrap", "a.md", "* [link](https://" + strings.Repeat("x", 120) + ")\n", nil},

		{"a wide comment in a script", "a.sh",
			"#!/bin/sh\n\t# " + wideText + "\nx='" + wideText + "'\n",
			[]string{"a.sh:2: 105 columns"},
		},
		{"a wide comment in YAML", "a.yaml", "a: 1\n  # " + wideText + "\n", []string{"a.yaml:2: 103 columns"}},

		{"words in text", "a.md", "A verb, its folders, a VERB.\n", []string{`["verb" "folders" "VERB"]`}},
		{"words in names", "a.go",
			"package a\n\nfunc podVerb(hostFolders, folderOf, verb_x int) {}\n",
			[]string{`["Verb" "Folders" "folder" "verb"]`},
		},
		{"words in a line that is ignored", "a.md", "A verb. <!-- prose:ignore -->\n", nil},
		{"words in a file that is ignored", "a.md", "<!-- prose:ignore-words -->\n\nA verb.\n", nil},
		{"other words", "a.md", "Verbose, verbatim, VERBATIM, adverb, %v.\n", nil},
		{"the keys of a role", "a.yaml", "rules:\n- verbs: [get]\n  verbs: [\"list\"]\n", nil},
		{"the key of an audit event", "a.go",
			"package a\n\ntype event struct {\n\tOperation string `json:\"verb\"`\n}\n",
			nil,
		},

		{"errors of which a clause begins with it", "a.go", `package a

var (
	a = errors.New("it is empty")
	b = fmt.Errorf("name: it's %q", "x")
	c = coded(3, types.NewError(4, fmt.Sprintf("it has %d", 1), ""))
	d = r.fail("%s: it is not", key)
	e = errors.New("read: item it is: iteration")
)

func (x *e) Error() string { return x.name + ": it ended" }
`, []string{"a.go:4:", "a.go:5:", "a.go:6:", "a.go:7:", "a.go:11:"}},
		{"a message of a test", "a_test.go", "package a\n\nfunc f() { t.Errorf(\"it is %d\", 1) }\n", nil},

		{"a long name of a test", "a_test.go",
			"package a\n\nfunc Test" + strings.Repeat("x", 57) + "() {}\n",
			[]string{"a_test.go:3: the test's name has 61 characters"},
		},
		{"a test's name of 60 characters", "a_test.go",
			"package a\n\nfunc Test" + strings.Repeat("x", 56) + "() {}\n",
			nil,
		},
		{"a long name of another function", "a.go",
			"package a\n\nfunc Test" + strings.Repeat("x", 60) + "() {}\n",
			nil,
		},

		{"one comment that says what is", "a.go",
			"package a\n\n// F is a function.\nfunc F() {}\n\nfunc G() {}\n",
			nil,
		},
		{"comments that say what is", "a.go",
			"package a\n\n// F is a.\nfunc F() {}\n\n// G are b.\nfunc G() {}\n\n// H returns.\nfunc H() {}\n",
			[]string{"a.go:3: 2 of 3 function comments", "a.go:6:"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f, err := parse(test.file, []byte(test.content))
			if err != nil {
				t.Fatal(err)
			}
			got := check([]*file{f})
			if len(got) != len(test.want) {
				t.Fatalf("got %d findings %q, want %d", len(got), got, len(test.want))
			}
			for i, want := range test.want {
				if !strings.Contains(got[i].String(), want) {
					t.Errorf("finding %d: got %q, want it to contain %q", i, got[i], want)
				}
			}
		})
	}
}

func TestIsComments_AllowsAShare(t *testing.T) {
	const total = 60
	content := "package a\n"
	for i := range total {
		name := "f" + strings.Repeat("x", i)
		verb := " returns nothing."
		if i < 3 {
			verb = " is nothing."
		}
		content += "\n// " + name + verb + "\nfunc " + name + "() {}\n"
	}
	f, err := parse("a.go", []byte(content))
	if err != nil {
		t.Fatal(err)
	}
	if got := check([]*file{f}); len(got) > 0 {
		t.Errorf("3 of %d: got %q, want no findings", total, got)
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"a.go", "b.md", "c.txt", "run", "Dockerfile", "sub/d.yaml", "sub/deep/e.sh", ".ci/f.sh", ".github/g.yml",
		".git/h.go", "vendor/i.go", "sub/testdata/j.go", "bin/k.sh",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/usr/bin/env bash\n"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name  string
		paths []string
		want  []string
	}{
		{"all", []string{"/..."}, []string{
			".ci/f.sh", ".github/g.yml", "Dockerfile", "a.go", "b.md", "run", "sub/d.yaml", "sub/deep/e.sh",
		}},
		{"a directory", []string{""}, []string{"Dockerfile", "a.go", "b.md", "run"}},
		{"a directory and all below", []string{"/sub/..."}, []string{"sub/d.yaml", "sub/deep/e.sh"}},
		{"a file, twice", []string{"/b.md", "/b.md"}, []string{"b.md"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var paths []string
			for _, path := range test.paths {
				paths = append(paths, dir+path)
			}
			names, err := find(paths)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, name := range names {
				got = append(got, strings.TrimPrefix(name, dir+"/"))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good.go", "package a\n\n// F returns.\nfunc F() {}\n")
	bad := write("bad.go", "package a\n\n// F "+wideText+"\nfunc F() {}\n")
	broken := write("broken.go", "package\n")
	tests := []struct {
		name       string
		args       []string
		code       int
		wantStdout string
		wantStderr string
	}{
		{"nothing found", []string{good}, 0, "", ""},
		{"something found", []string{bad}, 1, bad + ":3: ", ""},
		{"figures", []string{"-stats", bad}, 0, "100.0 % (1 of 1)", ""},
		{"the names of the files", []string{"-files", dir}, 0, good + "\n", ""},
		{"a file that does not parse", []string{broken}, 2, "", "broken.go"},
		{"a file that does not exist", []string{dir + "/none"}, 2, "", "none"},
		{"an option that does not exist", []string{"-none"}, 2, "", "-none"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			if code := run(test.args, &stdout, &stderr); code != test.code {
				t.Errorf("got exit code %d, want %d", code, test.code)
			}
			if !strings.Contains(stdout.String(), test.wantStdout) || (test.wantStdout == "" && stdout.String() != "") {
				t.Errorf("stdout: got %q, want %q", &stdout, test.wantStdout)
			}
			if !strings.Contains(stderr.String(), test.wantStderr) || (test.wantStderr == "" && stderr.String() != "") {
				t.Errorf("stderr: got %q, want %q", &stderr, test.wantStderr)
			}
		})
	}
}
