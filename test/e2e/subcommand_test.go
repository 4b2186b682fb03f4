package e2e

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

func TestByHand(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	valid := string(kactustest.Encode(t, tn.Conf))
	for _, c := range []struct {
		what, stdin string
		args        []string
		code        int
		stdout      []string // each is in it
		stderr      string
	}{
		{what: "says what it is", stdout: []string{"meta-plugin", "1.0.0", "version", "device-name", "validate"}},
		{what: "finds a netconf valid", args: []string{"validate"}, stdin: valid, stdout: []string{"valid"}},
		{what: "says all that is wrong with a netconf", args: []string{"validate"}, code: 1,
			stdin:  `{"cniVersion": "1.0.0", "cniDir": "../ledger", "apiTimeout": "soon", "delegates": []}`,
			stdout: []string{"name: ", "cniDir: ", "apiTimeout: ", "delegates: "}},
		{what: "refuses a subcommand that there is not", args: []string{"attach"}, code: 2, stderr: "attach"},
		{what: "refuses a file that is not there", args: []string{"validate", "/proc/no-such"}, code: 1, stderr: "/proc/no-such"},
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
					t.Errorf("it prints %q; want %q in it", stdout.String(), want)
				}
			}
			if !strings.Contains(stderr.String(), c.stderr) || (c.stderr == "") != (stderr.Len() == 0) {
				t.Errorf("on stderr: %q; want %q in it", stderr.String(), c.stderr)
			}
		})
	}
}
