//go:build root

package agent

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// buildEnterHost builds the program in testdata, which is static as kactus is.
func buildEnterHost(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "enterhost")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./testdata/enterhost")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	return program
}

// runEnterHost runs the program on a node of its own, and returns what it writes.
func runEnterHost(t *testing.T, program, how string, env ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "init", "/mnt", how)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// An enteredHost is the report that the program prints.
type enteredHost struct {
	Executed                bool
	Args                    []string
	Name, Where             string
	WorkingDirectory, Probe string
	Tokens                  []string
	Environment             []string
	Leaked                  []string
}

func TestEnterHost(t *testing.T) {
	program := buildEnterHost(t)
	run := func(t *testing.T, how string) enteredHost {
		t.Helper()
		stdout, stderr, err := runEnterHost(t, program, how)
		var got enteredHost
		if err != nil || json.Unmarshal([]byte(stdout), &got) != nil {
			t.Fatalf("%v: %s%s", err, stdout, stderr)
		}
		return got
	}
	t.Run("from a Pod", func(t *testing.T) {
		got := run(t, "in a Pod")
		if !got.Executed || got.Where != "node" || got.WorkingDirectory != "/" || got.Name != "enterhost" ||
			len(got.Args) != 2 || got.Args[0] != "agent" {
			t.Errorf("the process is %+v", got)
		}
		if want := []string{"first", "second"}; !slices.Equal(got.Tokens, want) {
			t.Errorf("the tokens read through the directory are %q, want %q", got.Tokens, want)
		}
		if got.Probe != "ok" {
			t.Errorf("the listener answers %q", got.Probe)
		}
		if !slices.Contains(got.Environment, "IN_POD=yes") ||
			slices.ContainsFunc(got.Environment, func(s string) bool { return strings.HasPrefix(s, filesEnv) }) {
			t.Errorf("the environment of what the process executes is %q", got.Environment)
		}
		if len(got.Leaked) > 0 {
			t.Errorf("what the process executes inherits %q", got.Leaked)
		}
	})
	t.Run("executes nothing on the node", func(t *testing.T) {
		if got := run(t, "on the node"); got.Executed || got.Where != "node" {
			t.Errorf("the process is %+v", got)
		}
	})
}

func TestEnterHost_Errors(t *testing.T) {
	program := buildEnterHost(t)
	const privileged = ": the container must be privileged"
	const foreign = " is not an inherited descriptor"
	for _, test := range []struct{ what, how, env, want string }{
		{"a Pod without hostPID", "PID 1", "", "needs hostPID: true"},
		{"a Pod that may not setns", "without CAP_SYS_ADMIN", "", "setns: operation not permitted" + privileged},
		{"a Pod that may not read the namespace", "without root", "", "permission denied" + privileged},
		{"a variable that would have it executed for ever", "in a Pod", "{}", "the variable must not be set"},
		{"a variable that is no list of files", "on the node", "x", filesEnv + ": invalid character"},
		{"a descriptor that is not open", "on the node", `{"account": 99}`, "account: 99" + foreign},
		{"a negative descriptor", "on the node", `{"account": -1}`, "account: -1" + foreign},
		{"a descriptor of standard output", "on the node", `{"account": 1}`, "account: 1" + foreign},
		{"a descriptor that was not inherited", "on the node", `{"account": 3}`, "account: 3" + foreign},
	} {
		t.Run(test.what, func(t *testing.T) {
			var env []string
			if test.env != "" {
				env = []string{filesEnv + "=" + test.env}
			}
			stdout, stderr, err := runEnterHost(t, program, test.how, env...)
			if err == nil || !strings.Contains(stderr, test.want) ||
				!strings.HasPrefix(stderr, "enter the node's mount namespace: ") {
				t.Errorf("%v: %s%s", err, stdout, stderr)
			}
		})
	}
}
