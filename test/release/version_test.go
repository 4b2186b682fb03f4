// Package release tests what a release is made of: versions, images, SBOMs and notes.
package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// A sourceTree is a directory with build.sh and a CHANGELOG.md, and perhaps a repository.
type sourceTree struct {
	t   *testing.T
	dir string
}

func newSourceTree(t *testing.T, headings ...string) sourceTree {
	t.Helper()
	tree := sourceTree{t, t.TempDir()}
	tree.copy("build.sh", "scripts/packages.sh")
	tree.write("# Changelog\n\nAll changes.\n\n" + strings.Join(headings, "\n\n* A change.\n\n"))
	return tree
}

// copy copies files of this tree.
func (s sourceTree) copy(names ...string) {
	s.t.Helper()
	const script = `to=$PWD && cd "$1" && shift && cp --parents "$@" "$to"`
	s.run("sh", append([]string{"-c", script, "sh", repository(s.t)}, names...)...)
}

func (s sourceTree) write(changelog string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, "CHANGELOG.md"), []byte(changelog), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// commit makes a repository of the tree, with one commit, and tags it.
func (s sourceTree) commit(tags ...string) {
	s.t.Helper()
	s.run("git", "init", "-q")
	s.run("git", "add", "-A")
	s.run("git", "commit", "-q", "-m", "a commit")
	for _, tag := range tags {
		s.run("git", "tag", tag)
	}
}

func (s sourceTree) run(name string, args ...string) string {
	s.t.Helper()
	return output(s.t, s.dir, name, args...)
}

// stamps returns the version, the commit and the date that a binary built from the tree has.
func (s sourceTree) stamps() (version, commit, date string) {
	s.t.Helper()
	fields := strings.Fields(s.run("./build.sh", "--version"))
	if len(fields) != 3 {
		s.t.Fatalf("build.sh --version: %q; want three words", fields)
	}
	return fields[0], fields[1], fields[2]
}

func TestVersion_WithoutRepository(t *testing.T) {
	for what, tt := range map[string]struct {
		headings []string
		want     string
	}{
		"a released section": {[]string{"## [1.2.0] - 2026-12-01", "## [1.1.0] - 2026-11-30"}, "v1.2.0"},
		"a section to be released": {[]string{"## [1.3.0] - Unreleased", "## [1.2.0] - 2026-12-01"},
			"v1.3.0-dev"},
		"no version": {[]string{"## [Unreleased]", "## Before this changelog"}, "v0.0.0-dev"},
	} {
		t.Run(what, func(t *testing.T) {
			version, commit, date := newSourceTree(t, tt.headings...).stamps()
			if version != tt.want || commit != "unknown" || date != "unknown" {
				t.Errorf("%s, %s of %s; want %s of an unknown commit", version, commit, date, tt.want)
			}
		})
	}
}

func TestVersion_InRepository(t *testing.T) {
	const released, unreleased = "## [1.2.0] - 2026-12-01", "## [1.2.0] - Unreleased"
	for what, tt := range map[string]struct {
		heading string
		tags    []string
		dirty   bool
		want    string // COMMIT is the commit
	}{
		"a tagged commit":                   {released, []string{"v1.2.0"}, false, "v1.2.0"},
		"a tag that is no version":          {released, []string{"tested"}, false, "v1.2.0+COMMIT"},
		"a tagged commit that was changed":  {released, []string{"v1.2.0"}, true, "v1.2.0+COMMIT.dirty"},
		"a commit without a tag":            {unreleased, nil, false, "v1.2.0-dev+COMMIT"},
		"an untagged commit, and a change":  {unreleased, nil, true, "v1.2.0-dev+COMMIT.dirty"},
		"a tag before the date was written": {unreleased, []string{"v1.2.0"}, false, "v1.2.0"},
	} {
		t.Run(what, func(t *testing.T) {
			tree := newSourceTree(t, tt.heading)
			tree.commit(tt.tags...)
			if tt.dirty {
				tree.write(tt.heading + "\n\n* Another change.\n")
			}
			version, commit, date := tree.stamps()
			if want := strings.Replace(tt.want, "COMMIT", commit[:12], 1); version != want {
				t.Errorf("version %s; want %s", version, want)
			}
			if head := strings.TrimSpace(tree.run("git", "rev-parse", "HEAD")); commit != head {
				t.Errorf("commit %s; want %s", commit, head)
			}
			if date != "2026-12-01T10:00:00Z" {
				t.Errorf("date %s; want the commit's, in UTC", date)
			}
		})
	}
}

// A tree inside of another repository, such as one that packages it, is not of that one's commit.
func TestVersion_InsideAnotherRepository(t *testing.T) {
	outer := newSourceTree(t, "## [9.9.9] - 2026-12-01")
	outer.commit("v9.9.9")
	inner := sourceTree{t, filepath.Join(outer.dir, "inner")}
	if err := os.Mkdir(inner.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	inner.copy("build.sh", "scripts/packages.sh")
	inner.write("## [1.2.0] - 2026-12-01")
	if version, commit, _ := inner.stamps(); version != "v1.2.0" || commit != "unknown" {
		t.Errorf("%s of commit %s; want v1.2.0 of an unknown one", version, commit)
	}
}

// semantic is what Semantic Versioning 2.0.0 allows of what kactus uses, and the v of tags.
var semantic = regexp.MustCompile(`^v\d+\.\d+\.\d+(-dev)?(\+[0-9a-f]{12,}(\.dirty)?)?$`)

func TestVersion_OfThisTree(t *testing.T) {
	if version, _, _ := (sourceTree{t, repository(t)}).stamps(); !semantic.MatchString(version) {
		t.Errorf("version %s; want a semantic version", version)
	}
}

func repository(t *testing.T) string {
	t.Helper()
	root, err := cluster.FindRoot(".")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// output runs a program in dir and returns its stdout.
func output(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := command(t, dir, name, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", cmd, err, out, stderr.String())
	}
	return string(out)
}

// fails runs a program in dir, which must fail, and returns its exit code and stderr.
func fails(t *testing.T, dir, name string, args ...string) (code int, stderr string) {
	t.Helper()
	cmd := command(t, dir, name, args...)
	var b strings.Builder
	cmd.Stderr = &b
	out, err := cmd.Output()
	if err == nil {
		t.Fatalf("%s succeeded:\n%s", cmd, out)
	}
	return cmd.ProcessState.ExitCode(), b.String()
}

// command returns a program to run in dir, without what the user's git is configured to do.
func command(t *testing.T, dir, name string, args ...string) *exec.Cmd {
	t.Helper()
	if strings.Contains(name, "/") && !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_AUTHOR_DATE=2026-12-01T12:00:00+02:00",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_COMMITTER_DATE=2026-12-01T12:00:00+02:00")
	return cmd
}
