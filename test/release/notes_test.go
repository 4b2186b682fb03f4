package release

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const changelog = `# Changelog

Everything.

## [1.2.0] - 2026-12-01

### Added

* A page, [docs/npwg.md](docs/npwg.md#why), and [a site](https://example.com/).

## [1.1.0] - 2026-11-01

* An older change.

[1.2.0]: https://example.com/1.2.0
`

// newNotesTree returns a tree with the script, and with a CHANGELOG.md.
func newNotesTree(t *testing.T, content string) sourceTree {
	t.Helper()
	tree := newSourceTree(t)
	tree.write(content)
	tree.copy("scripts/release-notes.sh", "go.mod")
	return tree
}

func TestNotes(t *testing.T) {
	const blob = "https://github.com/kaloom/kubernetes-kactus-cni-plugin/blob/"
	tree := newNotesTree(t, changelog)
	want := "### Added\n\n* A page, [docs/npwg.md](" + blob +
		"v1.2.0/docs/npwg.md#why), and [a site](https://example.com/).\n"
	if got := tree.run("scripts/release-notes.sh", "v1.2.0"); got != want {
		t.Errorf("the notes are %q; want %q", got, want)
	}
	tree.write(strings.Replace(changelog, "2026-12-01", "Unreleased", 1))
	want = strings.Replace(want, "/v1.2.0/", "/HEAD/", 1)
	if got := tree.run("scripts/release-notes.sh"); got != want {
		t.Errorf("in a rehearsal, the notes are %q; want %q", got, want)
	}
}

func TestNotes_Errors(t *testing.T) {
	for what, tt := range map[string]struct{ changelog, tag, want string }{
		"the tag of an older section": {changelog, "v1.1.0", `begins with "## [1.2.0] - 2026-12-01"`},
		"a version without a section": {changelog, "v1.3.0", "want \"## [1.3.0] - DATE\""},
		"a pattern":                   {changelog, "v1.2..", "v1.2.3"},
		"a tag that is no version":    {changelog, "v1.2", "v1.2.3"},
		"a section without a date": {strings.Replace(changelog, "2026-12-01", "Unreleased", 1), "v1.2.0",
			"Unreleased"},
		"an empty section": {strings.Replace(changelog, "## [1.2.0]", "## [1.3.0] - 2026-12-02\n\n## [1.2.0]", 1),
			"v1.3.0", "is empty"},
		"no section": {"# Changelog\n", "v1.2.0", "no section"},
	} {
		t.Run(what, func(t *testing.T) {
			tree := newNotesTree(t, tt.changelog)
			code, stderr := fails(t, tree.dir, "scripts/release-notes.sh", tt.tag)
			if code != 1 || !strings.Contains(stderr, tt.want) {
				t.Errorf("exit code %d, %s; want 1 and %s", code, stderr, tt.want)
			}
		})
	}
}

// A release is made before anything is built for it only if the tree is the tag's.
func TestRelease_Errors(t *testing.T) {
	tree := newNotesTree(t, changelog)
	tree.copy("scripts/release.sh")
	tree.commit()
	full := filepath.Dir(tree.dir)
	for what, tt := range map[string]struct {
		args []string
		want string
	}{
		"a tag that HEAD has not": {[]string{"-o", filepath.Join(t.TempDir(), "new"), "v1.2.0"}, "want v1.2.0"},
		"a tag without a section": {[]string{"-o", filepath.Join(t.TempDir(), "new"), "v1.3.0"},
			"want \"## [1.3.0]"},
		"a directory that is not empty": {[]string{"-o", full, "v1.2.0"}, "is not empty"},
		"a directory that is a file name": {[]string{"-o", filepath.Join(tree.dir, "go.mod"), "v1.2.0"},
			"is not empty"},
	} {
		t.Run(what, func(t *testing.T) {
			code, stderr := fails(t, tree.dir, "scripts/release.sh", tt.args...)
			if code != 1 || !strings.Contains(stderr, tt.want) {
				t.Errorf("exit code %d, %s; want 1 and %s", code, stderr, tt.want)
			}
		})
	}
}

func TestWorkflow_Pins(t *testing.T) {
	root := repository(t)
	workflow := string(read(t, filepath.Join(root, ".github/workflows/release.yml")))
	pinned := regexp.MustCompile(`^[\w-]+/[\w-]+@[0-9a-f]{40} # v[\d.]+$`)
	for _, action := range regexp.MustCompile(`uses: (.*)`).FindAllStringSubmatch(workflow, -1) {
		if !pinned.MatchString(action[1]) {
			t.Errorf("the workflow uses %s; want a commit, and its version in a comment", action[1])
		}
	}
	// The Go that a release is built with is the one that the scan for vulnerabilities uses.
	toolchain := regexp.MustCompile(`GOTOOLCHAIN(?:=|: )(go[\d.]+)`)
	want := toolchain.FindStringSubmatch(string(read(t, filepath.Join(root, ".ci/run"))))
	for _, name := range []string{".github/workflows/release.yml", "docs/releasing.md", "SECURITY.md"} {
		for _, got := range toolchain.FindAllStringSubmatch(string(read(t, filepath.Join(root, name))), -1) {
			if got[1] != want[1] {
				t.Errorf("%s has %s; .ci/run has %s", name, got[1], want[1])
			}
		}
	}
}
