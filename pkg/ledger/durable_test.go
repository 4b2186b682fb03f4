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

// A plan that is in the page cache alone is forgotten with the node's power, and what its delegates made is there for ever.
func TestAPlanIsOnTheDiskBeforePlanReturns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kactus")
	calls := traced(t, dir)
	want := []string{
		"write c1.tmp",
		"fsync c1.tmp",
		"rename c1.tmp c1.json",
		"fsync .",
		"said so",
	}
	at := slices.Index(calls, want[0])
	if at < 0 || at+len(want) > len(calls) || !slices.Equal(calls[at:at+len(want)], want) {
		t.Errorf("system calls:\n%s\nwant, one after the other:\n%s", strings.Join(calls, "\n"), strings.Join(want, "\n"))
	}
}

func TestAFolderThatIsMadeForTheLedgerIsOnTheDiskToo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lib", "kactus")
	calls := traced(t, dir)
	for _, parent := range []string{"fsync ..", "fsync ../.."} {
		if at := slices.Index(calls, parent); at < 0 || at > slices.Index(calls, "said so") {
			t.Errorf("no %q before the plan was said to be on the disk:\n%s", parent, strings.Join(calls, "\n"))
		}
	}
}

// traced makes a plan for the container c1 in another process, and is that process's system calls on the ledger's folder dir, as "fsync c1.tmp".
func traced(t *testing.T, dir string) []string {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatalf("%v: it is in the package of that name", err)
	}
	exe, err := os.Executable()
	must(t, err)
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command("strace", "-f", "-y", "-o", trace, "-e", "trace=write,pwrite64,writev,fsync,fdatasync,rename,renameat,renameat2", exe, dir, "c1")
	cmd.Env = append(os.Environ(), asOtherProcess+"=plan")
	out, err := cmd.Output()
	if err != nil || string(out) != "plan\n" {
		t.Fatalf("strace: %q, %v", out, err)
	}
	data, err := os.ReadFile(trace)
	must(t, err)
	var calls []string
	for line := range strings.SplitSeq(string(data), "\n") {
		if call := parseCall(dir, line); call != "" {
			calls = append(calls, call)
		}
	}
	return calls
}

var (
	onFile = regexp.MustCompile(`^\d+ +(write|fsync|fdatasync)\(\d+<([^>]*)>`)
	rename = regexp.MustCompile(`^\d+ +rename\w*\(.*"([^"]*)",.*"([^"]*)"`)
)

func parseCall(dir, line string) string {
	if strings.Contains(line, `"plan\n"`) {
		return "said so"
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
