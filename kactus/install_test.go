package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// newHost returns a node's directories with what a container of the DaemonSet sees, and the command
// line of kactus install for them.
func newHost(t *testing.T) (dir string, args []string) {
	t.Helper()
	dir = t.TempDir()
	for path, content := range map[string]string{
		"bin/ptp": "plugin", "account/token": "token", "account/ca.crt": "authority",
		"05-kactus.conf": validNetconf, "kactus": "kactus", "conf/10-other.conf": "{}",
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir, []string{"install", "-binary", dir + "/kactus", "-bin-dir", dir + "/bin", "-conf-dir", dir + "/conf",
		"-netconf", dir + "/05-kactus.conf", "-service-account", dir + "/account", "-server", "https://10.0.0.1"}
}

func TestInstall_OneShot(t *testing.T) {
	dir, args := newHost(t)
	conf := dir + "/conf/05-kactus.conf"
	for _, step := range []struct {
		flags      []string
		stdout     []string
		hasNetconf bool
	}{
		{[]string{"-dry-run"}, []string{"would write " + dir + "/bin/kactus", "would write " + conf}, false},
		{[]string{"-once"}, []string{"write " + conf}, true},
		{[]string{"-once"}, []string{"nothing to do"}, true},
		{[]string{"-uninstall", "-dry-run"}, []string{"would remove " + conf}, true},
		{[]string{"-uninstall"}, []string{"remove " + conf}, false},
	} {
		got := run(nil, "", append(args, step.flags...)...)
		expectAll(t, "stdout", got.stdout, step.stdout)
		if got.code != 0 || exists(conf) != step.hasNetconf {
			t.Errorf("%v: exit status %d, has a netconf: %v", step.flags, got.code, exists(conf))
		}
	}
	t.Run("an invalid netconf", func(t *testing.T) {
		replaceFile(t, dir+"/05-kactus.conf", "{}")
		got := run(nil, "", append(args, "-once")...)
		expectAll(t, "stderr", got.stderr, []string{"05-kactus.conf", "delegates"})
		if got.code != 1 || exists(conf) {
			t.Errorf("exit status %d, has a netconf: %v", got.code, exists(conf))
		}
	})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestInstall_Flags(t *testing.T) {
	for name, tt := range map[string]struct {
		env  map[string]string
		args []string
		code int
		out  string
	}{
		"help":                   {nil, []string{"-h"}, 0, "-service-account"},
		"an unknown flag":        {nil, []string{"-frob"}, 2, "frob"},
		"an argument":            {nil, []string{"-server", "https://x", "now"}, 2, "now"},
		"no server":              {nil, []string{"-once"}, 2, "-server"},
		"every must be positive": {nil, []string{"-server", "https://x", "-every", "0s"}, 2, "-every"},
		"the server in the cluster is the default": {
			map[string]string{"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"},
			[]string{"-h"}, 0, "https://[fd00::1]:443",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(tt.env, "", append([]string{"install"}, tt.args...)...)
			if got.code != tt.code || !strings.Contains(got.stdout+got.stderr, tt.out) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// output is a buffer that is safe for concurrent use.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func TestInstall_KeepsTheNodeUpToDate(t *testing.T) {
	dir, args := newHost(t)
	address := freeAddress(t)
	ctx, end := context.WithCancel(t.Context())
	defer end()
	var out output
	ended := make(chan int, 1)
	c := cli{
		getenv: func(string) string { return "" },
		args:   append(args, "-health", address, "-every", "5ms"),
		stdout: &out, stderr: &out,
	}
	go func() { ended <- c.run(ctx) }()

	awaitHealth(t, address, http.StatusOK, "installed")
	if status, _ := get(address, "/livez"); status != http.StatusOK {
		t.Errorf("/livez: got %d", status)
	}
	replaceFile(t, dir+"/account/token", "rotated")
	await(t, "the new token is on the node", func() bool {
		kubeconfig, _ := os.ReadFile(dir + "/conf/kactus.d/kactus-kubeconfig.yaml")
		return strings.Contains(string(kubeconfig), "rotated")
	})
	replaceFile(t, dir+"/05-kactus.conf", "{}")
	awaitHealth(t, address, http.StatusServiceUnavailable, "delegates")
	replaceFile(t, dir+"/05-kactus.conf", validNetconf)
	awaitHealth(t, address, http.StatusOK, "installed")

	begin := time.Now()
	end()
	if code := <-ended; code != 0 || time.Since(begin) > time.Second {
		t.Errorf("exit status %d after %s", code, time.Since(begin))
	}
	if !exists(dir + "/conf/05-kactus.conf") {
		t.Error("the node has no netconf anymore")
	}
	if strings.Contains(out.String(), "rotated") {
		t.Errorf("the token is in the log: %s", out.String())
	}
}

func TestInstall_UpdateAndRollback(t *testing.T) {
	dir, args := newHost(t)
	address := freeAddress(t)
	start := func(token string) (end func()) {
		account := filepath.Join(dir, token)
		replaceFile(t, filepath.Join(dir, "account", "token"), token)
		if err := os.CopyFS(account, os.DirFS(filepath.Join(dir, "account"))); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan int, 1)
		c := cli{
			getenv: func(string) string { return "" },
			args:   append(args, "-health", address, "-every", "5ms", "-service-account", account),
			stdout: io.Discard, stderr: io.Discard,
		}
		go func() { ended <- c.run(ctx) }()
		return func() {
			cancel()
			if code := <-ended; code != 0 {
				t.Errorf("the installer of %s: exit status %d", token, code)
			}
		}
	}
	onNode := func(token string) {
		t.Helper()
		await(t, "the node has "+token, func() bool {
			kubeconfig, _ := os.ReadFile(dir + "/conf/kactus.d/kactus-kubeconfig.yaml")
			return strings.Contains(string(kubeconfig), "token: "+token)
		})
	}
	first, withdrawn, update := tokenIssuedAt(100), tokenIssuedAt(200), tokenIssuedAt(300)
	endFirst := start(first)
	onNode(first)
	endWithdrawn := start(withdrawn)
	onNode(withdrawn)
	endWithdrawn()
	onNode(first)
	endUpdate := start(update)
	onNode(update)
	endFirst()
	onNode(update)
	awaitHealth(t, address, http.StatusOK, "installed")
	endUpdate()
}

// tokenIssuedAt returns a JWT with an iat claim, as a service account's token has it.
func tokenIssuedAt(seconds int) string {
	payload := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"iat":%d}`, seconds))
	return "header." + payload + ".signature"
}

func replaceFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func get(address, path string) (int, string) {
	resp, err := http.Get("http://" + address + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

func awaitHealth(t *testing.T, address string, code int, status string) {
	t.Helper()
	await(t, "/healthz has "+status, func() bool {
		got, body := get(address, "/healthz")
		return got == code && strings.Contains(body, status)
	})
}

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
