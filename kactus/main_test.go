package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type ran struct {
	code           int
	stdout, stderr string
}

func run(env map[string]string, stdin string, args ...string) ran {
	var stdout, stderr bytes.Buffer
	p := program{
		getenv: func(key string) string { return env[key] },
		args:   args, stdin: strings.NewReader(stdin), stdout: &stdout, stderr: &stderr,
	}
	code := p.run(context.Background())
	return ran{code, stdout.String(), stderr.String()}
}

const validNetconf = `{"cniVersion": "1.0.0", "name": "n", "type": "kactus", "delegates": [{"type": "ptp", "masterPlugin": true}]}`

// with is a netconf with one key more.
func with(netconf, key string) string { return strings.Replace(netconf, "{", "{"+key+", ", 1) }

func TestByHand(t *testing.T) {
	tests := []struct {
		behaviour string
		stdin     string
		args      []string
		code      int
		stdout    []string
		stderr    []string
	}{
		{"without a subcommand, it says what it is", "", nil, 0, []string{"CNI meta-plugin", version, "0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0", "device-name", "validate"}, nil},
		{"help says the same", "", []string{"--help"}, 0, []string{"CNI meta-plugin", "validate"}, nil},
		{"version names the commit and its date", "", []string{"version"}, 0, []string{"kactus " + version, commit, date}, nil},
		{"device-name prints one network a line", "", []string{"device-name", "green", "blue"}, 0, []string{"net9f27410725ab green\nnet48d6215903df blue\n"}, nil},
		{"device-name without a name is a wrong call", "", []string{"device-name"}, 2, nil, []string{"NETWORK", "Usage"}},
		{"an unknown subcommand is a wrong call", "", []string{"frobnicate"}, 2, nil, []string{"frobnicate", "Usage", "validate"}},
		{"validate accepts a valid netconf on stdin", validNetconf, []string{"validate"}, 0, []string{"stdin: valid"}, nil},
		{"validate says all that is wrong", `{"cniVersion": "3", "foo": 1}`, []string{"validate"}, 1, []string{"stdin: name: ", "stdin: cniVersion: ", "stdin: delegates: ", "stdin: foo: "}, nil},
		{"validate says that it is not JSON", `{`, []string{"validate"}, 1, []string{"stdin: it does not parse"}, nil},
		{"validate of a file that is not there", "", []string{"validate", "/nonexistent/kactus.conf"}, 1, nil, []string{"/nonexistent/kactus.conf"}},
		{"each subcommand says how it is called", "", []string{"validate", "-h"}, 0, []string{"kactus validate [FILE]", "wrong with a netconf"}, nil},
		{"a subcommand with options lists them", "", []string{"list", "--help"}, 0, []string{"kactus list [OPTION...]", "-cni-dir"}, nil},
		{"a wish for help is no network", "", []string{"device-name", "--help"}, 0, []string{"kactus device-name NETWORK..."}, nil},
		{"validate takes one file", "", []string{"validate", "a", "b"}, 2, nil, []string{"Usage"}},
	}
	for _, tt := range tests {
		t.Run(tt.behaviour, func(t *testing.T) {
			got := run(nil, tt.stdin, tt.args...)
			if got.code != tt.code {
				t.Errorf("exit code %d, want %d", got.code, tt.code)
			}
			expectAll(t, "stdout", got.stdout, tt.stdout)
			expectAll(t, "stderr", got.stderr, tt.stderr)
		})
	}
	t.Run("validate reads a file and names it", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "05-kactus.conf")
		if err := os.WriteFile(path, []byte(validNetconf), 0o600); err != nil {
			t.Fatal(err)
		}
		got := run(nil, "", "validate", path)
		if got.code != 0 || got.stdout != path+": valid\n" {
			t.Errorf("got %+v", got)
		}
	})
}

// expectAll: no words mean no output.
func expectAll(t *testing.T, name, got string, words []string) {
	t.Helper()
	if words == nil && got != "" {
		t.Errorf("%s has %q", name, got)
	}
	for _, w := range words {
		if !strings.Contains(got, w) {
			t.Errorf("%s does not have %q: %s", name, w, got)
		}
	}
}

func TestVersionNeedsNoStdin(t *testing.T) {
	got := run(map[string]string{"CNI_COMMAND": "VERSION"}, "")
	var answer struct {
		CNIVersion        string   `json:"cniVersion"`
		SupportedVersions []string `json:"supportedVersions"`
	}
	if err := json.Unmarshal([]byte(got.stdout), &answer); err != nil || got.code != 0 {
		t.Fatalf("%+v: %v", got, err)
	}
	if answer.CNIVersion != "1.1.0" || len(answer.SupportedVersions) != 7 {
		t.Errorf("got %+v", answer)
	}
}

func TestRefusals(t *testing.T) {
	env := func(changes ...string) map[string]string {
		e := map[string]string{"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "abc", "CNI_NETNS": "/nonexistent/netns", "CNI_IFNAME": "eth0",
			"CNI_PATH": "/nonexistent", "CNI_ARGS": "K8S_POD_NAMESPACE=red;K8S_POD_NAME=a"}
		for i := 0; i < len(changes); i += 2 {
			e[changes[i]] = changes[i+1]
		}
		return e
	}
	dir := t.TempDir()
	netconf := strings.Replace(validNetconf, `"name"`, `"cniDir": "`+dir+`/ledger", "name"`, 1)
	tests := []struct {
		behaviour string
		env       map[string]string
		stdin     string
		code      uint
		says      string
	}{
		{"a CHECK without a namespace", env("CNI_COMMAND", "CHECK", "CNI_NETNS", ""), netconf, 4, "CNI_NETNS"},
		{"a CHECK of a version that has none", env("CNI_COMMAND", "CHECK"), strings.Replace(netconf, "1.0.0", "0.3.1", 1), 1, "0.3.1"},
		{"a CHECK without the result of the ADD", env("CNI_COMMAND", "CHECK"), netconf, 7, "prevResult"},
		{"a CHECK with a result that is none", env("CNI_COMMAND", "CHECK"), with(netconf, `"prevResult": {"ips": 1}`), 7, "prevResult"},
		{"a CHECK of what the ledger does not know", env("CNI_COMMAND", "CHECK"), with(netconf, `"prevResult": {"cniVersion": "1.0.0"}`), 107, "eth0"},
		{"a GC of a version that has none", env("CNI_COMMAND", "GC"), with(netconf, `"cni.dev/valid-attachments": []`), 1, "1.0.0"},
		{"a GC that is not told what is valid", env("CNI_COMMAND", "GC"), strings.Replace(netconf, "1.0.0", "1.1.0", 1), 7, "cni.dev/valid-attachments"},
		{"a GC without a folder of plugins", env("CNI_COMMAND", "GC", "CNI_PATH", ""), netconf, 4, "CNI_PATH"},
		{"a STATUS of a version that has none", env("CNI_COMMAND", "STATUS"), netconf, 1, "1.0.0"},
		{"a STATUS without the delegate's binary", env("CNI_COMMAND", "STATUS"), strings.Replace(netconf, "1.0.0", "1.1.0", 1), 50, "ptp"},
		{"a STATUS where the ledger cannot be", env("CNI_COMMAND", "STATUS"), strings.Replace(strings.Replace(netconf, "1.0.0", "1.1.0", 1), dir, "/proc", 1), 50, "/proc/ledger"},
		{"a verb that nobody knows", env("CNI_COMMAND", "FROB"), netconf, 4, "FROB"},
		{"no container ID", env("CNI_CONTAINERID", ""), netconf, 4, "CNI_CONTAINERID"},
		{"a container ID that climbs", env("CNI_CONTAINERID", "../../etc/passwd"), netconf, 4, "CNI_CONTAINERID"},
		{"a container ID of 300 characters", env("CNI_CONTAINERID", strings.Repeat("a", 300)), netconf, 4, "CNI_CONTAINERID"},
		{"a device of 16 characters", env("CNI_IFNAME", "abcdefghijklmnop"), netconf, 4, "CNI_IFNAME"},
		{"a device with a slash", env("CNI_IFNAME", "a/b"), netconf, 4, "CNI_IFNAME"},
		{"no namespace for an ADD", env("CNI_NETNS", ""), netconf, 4, "CNI_NETNS"},
		{"a relative namespace", env("CNI_NETNS", "proc/1/ns/net"), netconf, 4, "CNI_NETNS"},
		{"a namespace that is not there", env(), netconf, 8, "/nonexistent/netns"},
		{"the node's own namespace", env("CNI_NETNS", "/proc/self/ns/net"), netconf, 8, "node"},
		{"a regular file as the namespace", env("CNI_NETNS", "/etc/passwd"), netconf, 8, "/etc/passwd"},
		{"no folder of plugins", env("CNI_PATH", ""), netconf, 4, "CNI_PATH"},
		{"arguments that are no pairs", env("CNI_ARGS", "a=b=c"), netconf, 4, "CNI_ARGS"},
		{"an ADD for nobody", env("CNI_ARGS", ""), netconf, 4, "K8S_POD_NAMESPACE"},
		{"a hot ADD that does not name its device", env("CNI_ARGS", "K8S_POD_NAMESPACE=red;K8S_POD_NAME=a;K8S_POD_NETWORK=green"), netconf, 4, "net9f27410725ab"},
		{"a hot DEL that does not name its device", env("CNI_COMMAND", "DEL", "CNI_ARGS", "K8S_POD_NETWORK=green"), netconf, 4, "net9f27410725ab"},
		{"an empty stdin", env(), "", 6, "empty"},
		{"a stdin that is not JSON", env(), "{", 6, "parse"},
		{"a netconf that is wrong", env(), `{"name": "a", "foo": 1}`, 7, "foo"},
		{"a version of the specification that is not spoken", env(), `{"name": "a", "cniVersion": "9.9.9"}`, 1, "9.9.9"},
		{"a stdin without end", env(), strings.Repeat(" ", 5<<20), 6, "bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.behaviour, func(t *testing.T) {
			got := run(tt.env, tt.stdin)
			var answer struct {
				CNIVersion string `json:"cniVersion"`
				Code       uint   `json:"code"`
				Msg        string `json:"msg"`
			}
			if err := json.Unmarshal([]byte(got.stdout), &answer); err != nil {
				t.Fatalf("stdout is not a CNI error: %q", got.stdout)
			}
			if got.code == 0 || answer.Code != tt.code || !strings.Contains(answer.Msg, tt.says) || answer.CNIVersion == "" {
				t.Errorf("exit code %d and %+v, want the code %d and %q", got.code, answer, tt.code, tt.says)
			}
		})
	}
	if files, _ := filepath.Glob(dir + "/ledger/*"); len(files) > 0 {
		t.Errorf("the ledger has %v", files)
	}
}
