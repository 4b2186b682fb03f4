package main

import (
	"os"
	"path/filepath"
	"testing"
)

const multusConf = `{"cniVersion": "1.0.0", "name": "m", "type": "multus", "clusterNetwork": "/x/10-p.conf"}`

func TestValidate_FromMultus(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "00-multus.conf")
	must(t, os.WriteFile(file, []byte(multusConf), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "10-p.conf"), []byte(`{"type": "ptp", "name": "p"}`), 0o600))
	for name, tt := range map[string]struct {
		stdin          string
		args           []string
		code           int
		stdout, stderr []string
	}{
		"converted whole": {"", []string{"--from-multus", file, "-conf-dir", dir}, 0,
			[]string{`"type": "kactus"`, `"masterPlugin": true`}, []string{file + ": clusterNetwork: delegates[0], "}},
		"stdin": {multusConf, []string{"-from-multus", "-", "--conf-dir=" + dir}, 0,
			[]string{`"type": "ptp"`}, []string{"stdin: name: as it is"}},
		"something to decide": {"", []string{"-from-multus", file}, 3,
			[]string{`"type": "kactus"`}, []string{file + ": clusterNetwork: to decide: read /x/10-p.conf: "}},
		"none of Multus": {validNetconf, []string{"-from-multus", "-"}, 1,
			nil, []string{"kactus: validate: convert stdin: not a configuration of Multus"}},
		"a file that is missing": {"", []string{"-from-multus", "/nonexistent/x"}, 1, nil, []string{"/nonexistent/x"}},
		"a file beside it":       {"", []string{"-from-multus", file, file}, 2, nil, []string{"unexpected argument"}},
		"the directory alone":    {"", []string{"-conf-dir", dir}, 2, nil, []string{"-from-multus"}},
		"an unknown option":      {"", []string{"-frob"}, 2, nil, []string{"validate: ", "frob"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(nil, tt.stdin, append([]string{"validate"}, tt.args...)...)
			if got.code != tt.code {
				t.Errorf("exit code %d, want %d", got.code, tt.code)
			}
			expectAll(t, "stdout", got.stdout, tt.stdout)
			expectAll(t, "stderr", got.stderr, tt.stderr)
		})
	}
}

// What is printed is a netconf as kactus takes it.
func TestValidate_AcceptsWhatItConverted(t *testing.T) {
	converted := run(nil, `{"name": "m", "type": "multus", "delegates": [{"type": "ptp", "name": "p"}]}`,
		"validate", "-from-multus", "-")
	if got := run(nil, converted.stdout, "validate"); converted.code != 0 || got.code != 0 {
		t.Errorf("%+v: %+v", converted, got)
	}
}
