package main

import (
	"runtime"
	"testing"
)

func TestSubcommands(t *testing.T) {
	const versions = "0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"
	tests := []struct {
		name   string
		args   []string
		code   int
		stdout []string
		stderr []string
	}{
		{"none", nil, 0, []string{"CNI meta-plugin", version, versions, "device-name", "validate"}, nil},
		{"help", []string{"help"}, 0, []string{"CNI meta-plugin", "validate"}, nil},
		{"--help", []string{"--help"}, 0, []string{"CNI meta-plugin", "validate"}, nil},
		{"-h", []string{"-h"}, 0, []string{"CNI meta-plugin", "validate"}, nil},
		{"version, alone on the first line", []string{"version"}, 0,
			[]string{"kactus " + version + "\n", commit + " of " + date, runtime.Version(), "linux/" + runtime.GOARCH},
			nil},
		{"--version", []string{"--version"}, 0, []string{"kactus " + version + "\n"}, nil},
		{"version with an argument", []string{"version", "x"}, 2, nil, []string{"no argument", "Usage"}},
		{"device-name", []string{"device-name", "green", "blue"}, 0,
			[]string{"net9f27410725ab green\nnet48d6215903df blue\n"}, nil},
		{"device-name without a name", []string{"device-name"}, 2, nil, []string{"NETWORK", "Usage"}},
		{"device-name --help is not a network", []string{"device-name", "--help"}, 0,
			[]string{"kactus device-name NETWORK..."}, nil},
		{"an unknown one", []string{"frobnicate"}, 2, nil, []string{"frobnicate", "Usage", "validate"}},
		{"the help of one without options", []string{"device-name", "-h"}, 0,
			[]string{"kactus device-name NETWORK...", "interface in a Pod"}, nil},
		{"the help of one with options and a file", []string{"validate", "-h"}, 0,
			[]string{"kactus validate [FILE]", "-from-multus FILE", "-conf-dir", "Exit codes"}, nil},
		{"the help of one with options", []string{"list", "--help"}, 0,
			[]string{"kactus list [OPTION...]", "-cni-dir", "-lock-dir", "-orphans"}, nil},
		{"an unknown option", []string{"check", "-frob"}, 2, nil, []string{"check: ", "frob", "Usage"}},
		{"an argument where there are only options", []string{"gc", "now"}, 2,
			nil, []string{"gc: unexpected argument", "now"}},
		{"an unknown format", []string{"list", "-o", "yaml"}, 2, nil, []string{"list: ", "neither table nor json"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := run(nil, "", tt.args...)
			if got.code != tt.code {
				t.Errorf("exit code %d, want %d", got.code, tt.code)
			}
			expectAll(t, "stdout", got.stdout, tt.stdout)
			expectAll(t, "stderr", got.stderr, tt.stderr)
		})
	}
}
