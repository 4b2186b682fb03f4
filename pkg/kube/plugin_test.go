package kube

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const apiVersion = "client.authentication.k8s.io/v1"

// status returns an ExecCredential with the status.
func status(status string) string {
	return `{"apiVersion": "` + apiVersion + `", "kind": "ExecCredential", "status": ` + status + `}`
}

// expiring returns an ExecCredential with the token and the time when it expires.
func expiring(when string) string {
	return status(`{"token": "` + token + `", "expirationTimestamp": "` + when + `"}`)
}

// execUser returns the keys of a user whose plugin is a shell script, and further keys of exec.
func execUser(t *testing.T, script, keys string) string {
	t.Helper()
	quoted, err := json.Marshal(script)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("exec: {apiVersion: %s, command: sh, interactiveMode: Never, args: [-c, %s]%s}",
		apiVersion, quoted, keys)
}

// withExec returns a Client of s whose credentials come from a script.
func (s *apiserver) withExec(t *testing.T, script, keys string) *Client {
	t.Helper()
	return newClient(t, configWith(t, fmt.Sprintf("server: %q%s", s.URL, s.authority()), execUser(t, script, keys)))
}

// authenticated responds as object does to requests with the token, and with 401 to others.
func authenticated(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+token {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	object(w, r)
}

// fileOf returns the path of a file in a new directory.
func fileOf(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "file")
}

// lines returns how many lines a file has.
func lines(t *testing.T, path string) int {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(content), "\n")
}

func TestExec_Token(t *testing.T) {
	const inYAML = "apiVersion: " + apiVersion + "\nkind: ExecCredential\nstatus: {token: " + token + "}\n"
	for name, printed := range map[string]string{
		"JSON":                       status(`{"token": "` + token + `"}`),
		"YAML":                       inYAML,
		"one that expires":           expiring("2100-01-01T00:00:00Z"),
		"what kactus does not know":  status(`{"token": "` + token + `", "more": 1}`),
		"white space around the one": "\n\t" + status(`{"token": "`+token+`"}`) + "\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			runs := fileOf(t)
			s := serve(t, authenticated)
			c := s.withExec(t, "echo >> "+runs+"; cat <<'END'\n"+printed+"\nEND\n", "")
			for range 2 {
				if _, err := c.Pod(within(t, 10*time.Second), "tenant", "app"); err != nil {
					t.Fatal(err)
				}
			}
			if n := lines(t, runs); n != 1 {
				t.Errorf("the plugin ran %d times, want once", n)
			}
		})
	}
}

func TestExec_ClientCertificate(t *testing.T) {
	url, ca, _ := serveTLS(t, valid(), func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert })
	certificate, key := keyPairPEM(t)
	printed := status(fmt.Sprintf(`{"clientCertificateData": %q, "clientKeyData": %q}`, certificate, key))
	cluster := fmt.Sprintf("server: %q, certificate-authority-data: %s", url, base64.StdEncoding.EncodeToString(ca))
	c := newClient(t, configWith(t, cluster, execUser(t, "cat <<'END'\n"+printed+"\nEND\n", "")))
	if _, err := c.Pod(within(t, 10*time.Second), "tenant", "app"); err != nil {
		t.Error(err)
	}
}

func TestExec_WhatThePluginIsTold(t *testing.T) {
	t.Setenv("CNI_COMMAND", "ADD")
	t.Setenv("KACTUS_TEST_OWN", "own")
	told, environ := fileOf(t), fileOf(t)
	s := serve(t, authenticated)
	script := `printf %s "$KUBERNETES_EXEC_INFO" > ` + told + `; env > ` + environ + `; [ ! -t 0 ] || exit 1
cat <<'END'` + "\n" + status(`{"token": "`+token+`"}`) + "\nEND\n"
	c := s.withExec(t, script, ", provideClusterInfo: true, env: [{name: FROM_KUBECONFIG, value: there}]")
	if _, err := c.Pod(within(t, 10*time.Second), "tenant", "app"); err != nil {
		t.Fatal(err)
	}
	var info struct {
		APIVersion, Kind string
		Spec             struct {
			Interactive bool
			Cluster     struct {
				Server    string
				Authority []byte `json:"certificate-authority-data"`
			}
		}
	}
	content, err := os.ReadFile(told)
	if err == nil {
		err = json.Unmarshal(content, &info)
	}
	block, _ := pem.Decode(info.Spec.Cluster.Authority)
	if err != nil || info.APIVersion != apiVersion || info.Kind != "ExecCredential" || info.Spec.Interactive ||
		info.Spec.Cluster.Server != s.URL || block == nil {
		t.Errorf("told %s, %v", content, err)
	}
	env, err := os.ReadFile(environ)
	if err != nil || !strings.Contains(string(env), "FROM_KUBECONFIG=there\n") ||
		!strings.Contains(string(env), "KACTUS_TEST_OWN=own\n") || strings.Contains(string(env), "CNI_") {
		t.Errorf("environment: %s, %v", env, err)
	}
}

func TestExec_RunsAgain(t *testing.T) {
	t.Run("after the credentials expired", func(t *testing.T) {
		runs := fileOf(t)
		c := serve(t, authenticated).withExec(t,
			"echo >> "+runs+"; cat <<'END'\n"+expiring("2001-01-01T00:00:00Z")+"\nEND\n", "")
		for range 3 {
			if _, err := c.Pod(within(t, 10*time.Second), "tenant", "app"); err != nil {
				t.Fatal(err)
			}
		}
		if n := lines(t, runs); n != 3 {
			t.Errorf("the plugin ran %d times, want 3", n)
		}
	})
	t.Run("after the apiserver rejected the token", func(t *testing.T) {
		runs := fileOf(t)
		script := "if [ -e " + runs + " ]; then token=" + token + "; fi; echo >> " + runs + "\n" +
			"printf '" + status(`{"token": "%s"}`) + "' ${token:-old}"
		c := serve(t, authenticated).withExec(t, script, "")
		_, err := c.Pod(within(t, 10*time.Second), "tenant", "app")
		if failed := failure(t, err); failed.Status != http.StatusUnauthorized {
			t.Errorf("got %v", err)
		}
		if _, err = c.Pod(within(t, 10*time.Second), "tenant", "app"); err != nil || lines(t, runs) != 2 {
			t.Errorf("got %v after %d runs", err, lines(t, runs))
		}
	})
}

func TestExec_Failures(t *testing.T) {
	const secret = "plugin-s3cr3t"
	good := status(`{"token": "t"}`)
	for name, tt := range map[string]struct{ script, want string }{
		"exit code":     {"echo no   route >&2; exit 3", "exec plugin sh: exit status 3: no route"},
		"no output":     {"true", "printed no"},
		"no object":     {"echo '<html>" + token + "'", "printed no ExecCredential"},
		"other version": {"echo '" + strings.Replace(good, "/v1", "/v2", 1) + "'", "exec.apiVersion"},
		"other kind":    {"echo '" + strings.Replace(good, "ExecC", "C", 1) + "'", "no ExecCredential"},
		"no status":     {"echo '" + status("null") + "'", "without a status"},
		"no credential": {"echo '" + status("{}") + "'", "neither a token nor"},
		"bad pair":      {"echo '" + status(`{"clientKeyData": "`+token+`"}`) + "'", "status.clientKeyData"},
		"a newline":     {"cat <<'END'\n" + status(`{"token": "`+token+`\n"}`) + "\nEND\n", "status.token: "},
		"too much":      {"yes " + token, "printed more than 262144 bytes"},
		"a cut secret":  {"yes x | head -c 1015 >&2; echo $SECRET >&2; exit 1", "exit status 1: x x"},
		"a secret":      {"echo use $SECRET >&2; exit 1", "exit status 1: use (redacted)"},
		"long stderr":   {"yes x | head -c 1000000 >&2; exit 1", "exit status 1: x x"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, object)
			c := s.withExec(t, tt.script, ", env: [{name: SECRET, value: "+secret+"}]")
			_, err := c.Pod(within(t, 10*time.Second), "tenant", "app")
			failed := failure(t, err)
			text := err.Error()
			if failed.Temporary() || !strings.Contains(text, tt.want) || s.requests.Load() != 0 {
				t.Errorf("temporary: %v: %v", failed.Temporary(), err)
			}
			if strings.Contains(text, token) || strings.Contains(text, secret[:8]) || len(text) > 2000 {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestExec_EndsWithTheRequest(t *testing.T) {
	pids := fileOf(t)
	s := serve(t, object)
	c := s.withExec(t, "sleep 300 & echo $! $$ > "+pids+"; wait", "")
	begin := time.Now()
	c.attemptTimeout = 500 * time.Millisecond
	_, err := c.Pod(within(t, 800*time.Millisecond), "tenant", "app")
	if !failure(t, err).Temporary() || !strings.Contains(err.Error(), "plugin sh: no response within") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	content, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range strings.Fields(string(content)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		expectEnd(t, pid)
	}
}

// expectEnd fails if a process does not end soon.
func expectEnd(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if syscall.Kill(pid, 0) != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
	}
	t.Errorf("process %d of the plugin runs", pid)
}

func TestExec_LeavesAProcessBehind(t *testing.T) {
	pids := fileOf(t)
	script := "sleep 300 & echo $! > " + pids + "; cat <<'END'\n" + status(`{"token": "`+token+`"}`) + "\nEND\n"
	c := serve(t, authenticated).withExec(t, script, "")
	t.Cleanup(func() {
		content, _ := os.ReadFile(pids)
		if pid, err := strconv.Atoi(strings.TrimSpace(string(content))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	if _, err := c.Pod(within(t, 10*time.Second), "tenant", "app"); err != nil {
		t.Error(err)
	}
}

// As in client-go.
func TestExec_OtherCredentialsComeFirst(t *testing.T) {
	s := serve(t, authenticated)
	user := execUser(t, "exit 1", "") + ", token: " + token
	c := newClient(t, configWith(t, fmt.Sprintf("server: %q%s", s.URL, s.authority()), user))
	if _, err := c.Pod(within(t, 10*time.Second), "tenant", "app"); err != nil {
		t.Error(err)
	}
}

// A path with a slash is below the kubeconfig's directory, as are those of files.
func TestExec_RelativeCommand(t *testing.T) {
	s := serve(t, authenticated)
	user := strings.Replace(execUser(t, "", ""), "command: sh", "command: ./plugin", 1)
	path := configWith(t, fmt.Sprintf("server: %q%s", s.URL, s.authority()), user)
	plugin := "#!/bin/sh\ncat <<'END'\n" + status(`{"token": "`+token+`"}`) + "\nEND\n"
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "plugin"), []byte(plugin), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := newClient(t, path).Pod(within(t, 10*time.Second), "tenant", "app"); err != nil {
		t.Error(err)
	}
}
