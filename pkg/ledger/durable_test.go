package ledger

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// With the node's power, a plan that is in the page cache alone would be lost, and what its
// delegates made would stay for ever.
func TestWritePlanned_IsDurable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lib", "kactus")
	calls := traceOther(t, At(dir, filepath.Join(t.TempDir(), "locks")))
	t.Run("the record is on the disk when WritePlanned returns", func(t *testing.T) {
		want := []string{
			"write c1.tmp",
			"fsync c1.tmp",
			"rename c1.tmp c1.json",
			"fsync .",
			"returned",
		}
		start := slices.Index(calls, want[0])
		if start < 0 || start+len(want) > len(calls) || !slices.Equal(calls[start:start+len(want)], want) {
			t.Errorf("system calls:\n%s\nwant, one after the other:\n%s",
				strings.Join(calls, "\n"), strings.Join(want, "\n"))
		}
	})
	t.Run("and so are directories that were created", func(t *testing.T) {
		for _, parent := range []string{"fsync ..", "fsync ../.."} {
			if at := slices.Index(calls, parent); at < 0 || at > slices.Index(calls, "returned") {
				t.Errorf("no %q before WritePlanned returned:\n%s", parent, strings.Join(calls, "\n"))
			}
		}
	})
}

// traceOther writes a plan for the container c1 in another process, and returns the system calls of
// that process on the ledger's directory, such as "fsync c1.tmp". Then come its words.
func traceOther(t *testing.T, l Ledger) []string {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatalf("%v: strace is in the package of that name", err)
	}
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := otherCommand(t, "plan", l, "c1")
	cmd.Args = append([]string{
		"strace", "-f", "-y", "-o", trace,
		"-e", "trace=write,pwrite64,writev,fsync,fdatasync,rename,renameat,renameat2", cmd.Path,
	}, cmd.Args[1:]...)
	var err error
	cmd.Path, err = exec.LookPath("strace")
	must(t, err)
	out, err := cmd.Output()
	if err != nil || string(out) != "plan\n" {
		t.Fatalf("strace: %q, %v", out, err)
	}
	data, err := os.ReadFile(trace)
	must(t, err)
	var calls []string
	for line := range strings.SplitSeq(string(data), "\n") {
		if call := parseCall(l.dir, line); call != "" {
			calls = append(calls, call)
		}
	}
	return calls
}

var (
	onFile = regexp.MustCompile(`^\d+ +(write|fsync|fdatasync)\(\d+<([^>]*)>`)
	rename = regexp.MustCompile(`^\d+ +rename\w*\(.*"([^"]*)",.*"([^"]*)"`)
)

// parseCall returns the system call in a line of strace's output, with paths relative to dir; empty
// for one that is not on a file.
func parseCall(dir, line string) string {
	if strings.Contains(line, `"plan\n"`) {
		return "returned"
	}
	if m := rename.FindStringSubmatch(line); m != nil {
		return "rename " + relative(dir, m[1]) + " " + relative(dir, m[2])
	}
	if m := onFile.FindStringSubmatch(line); m != nil && strings.HasPrefix(m[2], "/") {
		return m[1] + " " + relative(dir, m[2])
	}
	return ""
}

func relative(dir, path string) string {
	rel, err := filepath.Rel(dir, path)
	if err != nil {
		return path
	}
	return rel
}
