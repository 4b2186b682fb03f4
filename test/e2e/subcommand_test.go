package e2e

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

func TestSubcommands(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	valid := string(kactustest.Encode(t, tn.Conf))
	for _, c := range []struct {
		what, stdin string
		args        []string
		code        int
		stdout      []string // words to expect
		stderr      string
	}{
		{what: "prints help", stdout: []string{"meta-plugin", "1.0.0", "version", "device-name", "validate"}},
		{what: "accepts a valid netconf", args: []string{"validate"}, stdin: valid, stdout: []string{"valid"}},
		{what: "lists everything that is wrong with a netconf", args: []string{"validate"}, code: 1,
			stdin:  `{"cniVersion": "1.0.0", "cniDir": "../ledger", "apiTimeout": "soon", "delegates": []}`,
			stdout: []string{"name: ", "cniDir: ", "apiTimeout: ", "delegates: "}},
		{what: "refuses an unknown subcommand", args: []string{"attach"}, code: 2, stderr: "attach"},
		{what: "reports a missing file", args: []string{"validate", "/proc/no-such"}, code: 1, stderr: "/proc/no-such"},
	} {
		t.Run(c.what, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), kactustest.KactusPath(), c.args...)
			var stdout, stderr bytes.Buffer
			cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(c.stdin), &stdout, &stderr
			err := cmd.Run()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if code := cmd.ProcessState.ExitCode(); code != c.code {
				t.Errorf("exit code %d; want %d", code, c.code)
			}
			for _, want := range c.stdout {
				if !strings.Contains(stdout.String(), want) {
					t.Errorf("stdout %q; want %q in it", stdout.String(), want)
				}
			}
			if !strings.Contains(stderr.String(), c.stderr) || (c.stderr == "") != (stderr.Len() == 0) {
				t.Errorf("stderr %q; want %q in it", stderr.String(), c.stderr)
			}
		})
	}
}
