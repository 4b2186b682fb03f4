package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// hot is the CNI_ARGS of a hot operation.
const hot = "K8S_POD_NAMESPACE=red;K8S_POD_NAME=a;K8S_POD_NETWORK=green"

// addEnv returns the environment of an ADD, with changes: names and values in turn.
func addEnv(changes ...string) map[string]string {
	env := map[string]string{
		"CNI_COMMAND":     "ADD",
		"CNI_CONTAINERID": "abc",
		"CNI_NETNS":       "/nonexistent/netns",
		"CNI_IFNAME":      "eth0",
		"CNI_PATH":        "/nonexistent",
		"CNI_ARGS":        "K8S_POD_NAMESPACE=red;K8S_POD_NAME=a",
	}
	for i := 0; i < len(changes); i += 2 {
		env[changes[i]] = changes[i+1]
	}
	return env
}

// netconfIn returns a netconf of that version whose ledger and locks are in dir.
func netconfIn(dir, cniVersion string) string {
	conf := withKey(validNetconf,
		fmt.Sprintf(`"cniDir": "%s/ledger", "lockDir": "%[1]s/locks", "multusDir": "%[1]s/multus"`, dir))
	return strings.Replace(conf, "1.0.0", cniVersion, 1)
}

// expectCNIError fails unless stdout is a CNI error with that code and word.
func expectCNIError(t *testing.T, got ran, code uint, word string) {
	t.Helper()
	var answer struct {
		CNIVersion string `json:"cniVersion"`
		Code       uint   `json:"code"`
		Msg        string `json:"msg"`
	}
	if err := json.Unmarshal([]byte(got.stdout), &answer); err != nil {
		t.Fatalf("stdout is not a CNI error: %q", got.stdout)
	}
	if got.code != 1 || answer.Code != code || !strings.Contains(answer.Msg, word) || answer.CNIVersion != "1.1.0" {
		t.Errorf("exit code %d and %+v, want 1, the code %d and %q", got.code, answer, code, word)
	}
}

func TestOperations_AreThoseOfTheSpecification(t *testing.T) {
	got := slices.Sorted(maps.Keys(operations)) // VERSION is apart
	if want := []string{"ADD", "CHECK", "DEL", "GC", "STATUS"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// unreadable is a stdin that must not be read.
type unreadable struct{ *testing.T }

func (r unreadable) Read([]byte) (int, error) {
	r.Error("stdin is read")
	return 0, io.EOF
}

func TestOperations_WithoutStdin(t *testing.T) {
	runWithoutStdin := func(t *testing.T, operation string) ran {
		var stdout, stderr bytes.Buffer
		c := cli{
			getenv: func(key string) string { return map[string]string{"CNI_COMMAND": operation}[key] },
			stdin:  unreadable{t}, stdout: &stdout, stderr: &stderr,
		}
		code := c.run(t.Context())
		return ran{code, stdout.String(), stderr.String()}
	}
	t.Run("VERSION", func(t *testing.T) {
		got := runWithoutStdin(t, "VERSION")
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
	})
	for _, unknown := range []string{"FROB", "add", " "} {
		t.Run("unknown "+unknown, func(t *testing.T) {
			expectCNIError(t, runWithoutStdin(t, unknown), 4, fmt.Sprintf("CNI_COMMAND: %q", unknown))
		})
	}
}

func TestOperations_Errors(t *testing.T) {
	dir := t.TempDir()
	netconf, netconf110 := netconfIn(dir, "1.0.0"), netconfIn(dir, "1.1.0")
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, os.WriteFile(kubeconfig, []byte(`
current-context: c
clusters: [{name: c, cluster: {server: "https://127.0.0.1"}}]
users: [{name: u, user: {token: "secret\n"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
`), 0o600))
	tests := []struct {
		name  string
		env   map[string]string
		stdin string
		code  uint
		word  string
	}{
		{"an environment variable that is missing", addEnv("CNI_CONTAINERID", ""), netconf, 4, "CNI_CONTAINERID"},
		{"an environment variable that is invalid", addEnv("CNI_IFNAME", "abcdefghijklmnop"), netconf, 4, "CNI_IFNAME"},
		{"a netconf that is empty", addEnv(), "", 6, "empty"},
		{"a netconf that is too long", addEnv(), strings.Repeat(" ", 5<<20), 6, "bytes"},
		{"a netconf that is invalid", addEnv(), `{"name": "a", "foo": 1}`, 7, "foo"},
		{"a netconf of an unknown version", addEnv(), `{"name": "a", "cniVersion": "9.9.9"}`, 1, "9.9.9"},

		{"an ADD in a namespace that is missing", addEnv(), netconf, 8, "/nonexistent/netns"},
		{"an ADD in the namespace of the node", addEnv("CNI_NETNS", "/proc/self/ns/net"), netconf, 8, "node"},
		{"an ADD in a file that is not a namespace", addEnv("CNI_NETNS", "/etc/passwd"), netconf, 8, "/etc/passwd"},
		{"an ADD for no Pod", addEnv("CNI_ARGS", ""), netconf, 4, "K8S_POD_NAMESPACE"},
		{"a hot ADD that names another interface", addEnv("CNI_ARGS", hot), netconf, 4, "net9f27410725ab"},
		{"a hot DEL that names another interface", addEnv("CNI_COMMAND", "DEL", "CNI_ARGS", hot),
			netconf, 4, "net9f27410725ab"},

		{"a CHECK of a version that has none", addEnv("CNI_COMMAND", "CHECK"), netconfIn(dir, "0.3.1"), 1, "0.3.1"},
		{"a CHECK without the result of the ADD", addEnv("CNI_COMMAND", "CHECK"), netconf, 107, "the ledger"},
		{"a CHECK with an invalid result", addEnv("CNI_COMMAND", "CHECK"),
			withKey(netconf, `"prevResult": {"ips": 1}`), 7, "prevResult"},
		{"a CHECK of an unknown container", addEnv("CNI_COMMAND", "CHECK"),
			withKey(netconf, `"prevResult": {"cniVersion": "1.0.0"}`), 107, "eth0"},

		{"a GC of a version that has none", addEnv("CNI_COMMAND", "GC"),
			withKey(netconf, `"cni.dev/valid-attachments": []`), 1, "1.0.0"},
		{"a GC without a list", addEnv("CNI_COMMAND", "GC"), netconf110, 7, "cni.dev/valid-attachments"},

		{"a STATUS of a version that has none", addEnv("CNI_COMMAND", "STATUS"), netconf, 1, "1.0.0"},
		{"a STATUS without the delegate's binary", addEnv("CNI_COMMAND", "STATUS"), netconf110, 50, "ptp"},
		{"a STATUS with a token that cannot be sent", addEnv("CNI_COMMAND", "STATUS"),
			withKey(netconf110, fmt.Sprintf(`"kubeconfig": %q`, kubeconfig)), 50,
			"use the kubeconfig " + kubeconfig + ": token: "},
		{"a STATUS where the ledger cannot be", addEnv("CNI_COMMAND", "STATUS"),
			strings.Replace(netconf110, dir, "/proc", 1), 50, "/proc/ledger"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := run(tt.env, tt.stdin)
			expectCNIError(t, got, tt.code, tt.word)
		})
	}
	if files, _ := filepath.Glob(dir + "/ledger/*"); len(files) > 0 {
		t.Errorf("the ledger has %v", files)
	}
}

func TestOperations_SuccessWithoutOutput(t *testing.T) {
	dir := t.TempDir()
	plugins := pluginDir(t)
	got := run(addEnv("CNI_COMMAND", "DEL", "CNI_NETNS", "", "CNI_PATH", plugins), netconfIn(dir, "1.0.0"))
	if got.code != 0 || got.stdout != "" {
		t.Errorf("DEL of an unknown container: got %+v", got)
	}
	netconf := withKey(netconfIn(dir, "1.1.0"), `"cni.dev/valid-attachments": []`)
	netconf = strings.Replace(netconf, `"masterPlugin"`, `"disableGC": true, "masterPlugin"`, 1)
	got = run(addEnv("CNI_COMMAND", "GC"), netconf)
	if got.code != 0 || got.stdout != "" {
		t.Errorf("GC of an empty ledger: got %+v", got)
	}
}

// pluginDir returns a directory with a plugin ptp that succeeds, and does nothing.
func pluginDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "ptp"), []byte("#!/bin/sh\n"), 0o755))
	return dir
}

func TestOperations_StdinCannotBeRead(t *testing.T) {
	run := func(ctx context.Context, stdin io.Reader) ran {
		var stdout, stderr bytes.Buffer
		env := addEnv()
		c := cli{getenv: func(key string) string { return env[key] }, stdin: stdin, stdout: &stdout, stderr: &stderr}
		code := c.run(ctx)
		return ran{code, stdout.String(), stderr.String()}
	}
	t.Run("an error", func(t *testing.T) {
		stdin, writer := io.Pipe()
		writer.CloseWithError(errors.New("broken pipe"))
		expectCNIError(t, run(t.Context(), stdin), 5, "read the netconf from stdin: broken pipe")
	})
	t.Run("no end before the operation is canceled", func(t *testing.T) {
		stdin, writer := io.Pipe()
		defer writer.Close()
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("the runtime hung up"))
		expectCNIError(t, run(ctx, stdin), 5, "read the netconf from stdin: the runtime hung up")
	})
}

// closedPipe is a stdout that nobody reads.
type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, errors.New("nobody reads") }

func TestOperations_StdoutCannotBeWritten(t *testing.T) {
	var stderr bytes.Buffer
	env := map[string]string{"CNI_COMMAND": "VERSION"}
	getenv := func(key string) string { return env[key] }
	c := cli{getenv: getenv, stdin: unreadable{t}, stdout: closedPipe{}, stderr: &stderr}
	if code := c.run(t.Context()); code != 1 {
		t.Errorf("exit code %d", code)
	}
	expectAll(t, "stderr", stderr.String(), []string{"print the result: nobody reads", "supportedVersions"})
}

func TestOperations_Log(t *testing.T) {
	tests := []struct {
		name string
		env  map[string]string
		// keys are added to a valid netconf.
		keys string
		want []string
	}{
		{"an ADD with an invalid CNI_IFNAME", addEnv("CNI_IFNAME", "a/b"), "",
			[]string{"level=ERROR", "msg=end", "operation=ADD", "containerID=abc", "code=4", "CNI_IFNAME"}},
		{"an ADD without a container", addEnv("CNI_CONTAINERID", ""), "",
			[]string{"level=ERROR", "msg=end", "operation=ADD", "code=4", "CNI_CONTAINERID"}},
		{"an ADD with an invalid netconf", addEnv(), `"foo": 1`,
			[]string{"level=ERROR", "msg=end", "containerID=abc", "pod=red/a", "code=2", "foo"}},
		{"a STATUS with an invalid netconf", addEnv("CNI_COMMAND", "STATUS"), `"foo": 1`,
			[]string{"level=ERROR", "msg=end", "operation=STATUS", "code=2", "foo"}},
		{"a STATUS, which runtimes repeat every few seconds", addEnv("CNI_COMMAND", "STATUS"), `"logLevel": 3`,
			[]string{"level=DEBUG msg=start", "level=ERROR msg=end", "code=50"}},
		{"a hot ADD that fails", addEnv("CNI_ARGS", hot), `"logLevel": 3`,
			[]string{"level=INFO msg=start", "level=ERROR msg=end", "network=green", "code=4"}},
		{"a DEL that succeeds", addEnv("CNI_COMMAND", "DEL", "CNI_NETNS", ""), `"logLevel": 2`,
			[]string{"level=INFO msg=end", "operation=DEL"}},
		{"a DEL with an invalid netconf", addEnv("CNI_COMMAND", "DEL", "CNI_NETNS", ""), `"foo": 1`,
			[]string{"level=WARN", "netconf: foo: "}},
		{"a DEL with an unknown key in CNI_ARGS",
			addEnv("CNI_COMMAND", "DEL", "CNI_NETNS", "", "CNI_ARGS", "FOO=1"), "",
			[]string{"level=WARN", "CNI_ARGS: unknown key", "FOO", "K8S_POD_NAMESPACE: missing"}},
		{"the environment overrides the level",
			addEnv("CNI_COMMAND", "DEL", "CNI_NETNS", "", "_CNI_LOGGING_LEVEL", "2"), `"logLevel": 0`,
			[]string{"level=INFO msg=start", "level=INFO msg=end"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			netconf := withKey(netconfIn(dir, "1.1.0"), fmt.Sprintf(`"logFile": "%s/log"`, dir))
			if tt.keys != "" {
				netconf = withKey(netconf, tt.keys)
			}
			if tt.env["CNI_COMMAND"] == "DEL" {
				tt.env["CNI_PATH"] = pluginDir(t)
			}
			got := run(tt.env, netconf)
			expectAll(t, "stderr", got.stderr, nil)
			log, err := os.ReadFile(dir + "/log")
			must(t, err)
			expectAll(t, "log", string(log), tt.want)
		})
	}
	t.Run("the environment overrides the file", func(t *testing.T) {
		dir := t.TempDir()
		netconf := withKey(netconfIn(dir, "1.1.0"), fmt.Sprintf(`"logFile": "%s/log"`, dir))
		run(addEnv("_CNI_LOGGING_FILE", dir+"/other"), netconf)
		log, err := os.ReadFile(dir + "/other")
		must(t, err)
		expectAll(t, "log", string(log), []string{"msg=end", "code=8"})
		if _, err := os.Stat(dir + "/log"); err == nil {
			t.Error("the file of the netconf was written")
		}
	})
	t.Run("without a file, to stderr", func(t *testing.T) {
		got := run(addEnv(), netconfIn(t.TempDir(), "1.1.0"))
		expectAll(t, "stderr", got.stderr, []string{"level=ERROR msg=end operation=ADD", "code=8"})
	})
}
