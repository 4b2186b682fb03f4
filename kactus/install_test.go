package main

import (
	"bytes"
	"context"
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

// hostFolders are a node's folders, and what a container of the DaemonSet sees, as the options of kactus install.
func hostFolders(t *testing.T) (dir string, options []string) {
	t.Helper()
	dir = t.TempDir()
	for path, content := range map[string]string{
		"bin/ptp": "plugin", "account/token": "token", "account/ca.crt": "authority", "05-kactus.conf": validNetconf, "program": "kactus", "conf/10-other.conf": "{}",
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir, []string{"install", "-binary", dir + "/program", "-bin-dir", dir + "/bin", "-conf-dir", dir + "/conf",
		"-netconf", dir + "/05-kactus.conf", "-service-account", dir + "/account", "-server", "https://10.0.0.1"}
}

func TestInstallByHand(t *testing.T) {
	dir, options := hostFolders(t)
	there := func() bool {
		_, err := os.Stat(dir + "/conf/05-kactus.conf")
		return err == nil
	}
	got := run(nil, "", append(options, "-dry-run")...)
	expectAll(t, "stdout", got.stdout, []string{"would write " + dir + "/bin/kactus", "would write " + dir + "/conf/05-kactus.conf"})
	if got.code != 0 || there() {
		t.Errorf("a dry run gives %d, and installs: %v", got.code, there())
	}
	got = run(nil, "", append(options, "-once")...)
	expectAll(t, "stdout", got.stdout, []string{"write " + dir + "/conf/05-kactus.conf"})
	if got.code != 0 || !there() {
		t.Errorf("-once gives %d, and installs: %v", got.code, there())
	}
	got = run(nil, "", append(options, "-once")...)
	expectAll(t, "stdout", got.stdout, []string{"nothing to do"})
	got = run(nil, "", append(options, "-uninstall", "-dry-run")...)
	expectAll(t, "stdout", got.stdout, []string{"would remove " + dir + "/conf/05-kactus.conf"})
	got = run(nil, "", append(options, "-uninstall")...)
	if got.code != 0 || there() {
		t.Errorf("-uninstall gives %d, and leaves the netconf: %v", got.code, there())
	}
	if err := os.WriteFile(dir+"/05-kactus.conf", []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	got = run(nil, "", append(options, "-once")...)
	expectAll(t, "stderr", got.stderr, []string{"05-kactus.conf", "delegates"})
	if got.code != 1 || there() {
		t.Errorf("a wrong netconf gives %d, and is installed: %v", got.code, there())
	}
}

func TestInstallsOptions(t *testing.T) {
	for behaviour, tt := range map[string]struct {
		env  map[string]string
		args []string
		code int
		out  string
	}{
		"help prints every option":                     {nil, []string{"-h"}, 0, "-service-account"},
		"an unknown option is a wrong call":            {nil, []string{"-frob"}, 2, "frob"},
		"an argument is a wrong call":                  {nil, []string{"-server", "https://x", "now"}, 2, "now"},
		"without a server, it says what is missing":    {nil, []string{"-once"}, 2, "-server"},
		"the cluster's own server is the default":      {map[string]string{"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}, []string{"-h"}, 0, "https://[fd00::1]:443"},
		"looking again without a pause is not allowed": {nil, []string{"-server", "https://x", "-every", "0s"}, 2, "-every"},
	} {
		t.Run(behaviour, func(t *testing.T) {
			got := run(tt.env, "", append([]string{"install"}, tt.args...)...)
			if got.code != tt.code || !strings.Contains(got.stdout+got.stderr, tt.out) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// output is written and read at once.
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

func TestInstallStaysRenewsAndEndsAtOnce(t *testing.T) {
	dir, options := hostFolders(t)
	address := freeAddress(t)
	ctx, end := context.WithCancel(t.Context())
	defer end()
	var out output
	ended := make(chan int, 1)
	p := program{getenv: func(string) string { return "" }, args: append(options, "-health", address, "-every", "5ms"), stdout: &out, stderr: &out}
	go func() { ended <- p.run(ctx) }()

	awaitHealth(t, address, http.StatusOK, "installed")
	if status, _ := get(address, "/livez"); status != http.StatusOK {
		t.Errorf("/livez answers %d", status)
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
		t.Errorf("it ended with %d after %s", code, time.Since(begin))
	}
	if _, err := os.Stat(dir + "/conf/05-kactus.conf"); err != nil {
		t.Errorf("the node lost its netconf: %v", err)
	}
	if strings.Contains(out.String(), "rotated") {
		t.Errorf("the token is in the log: %s", out.String())
	}
}

func TestAnUpdatesInstallerTakesOverAndGivesBack(t *testing.T) {
	dir, options := hostFolders(t)
	address := freeAddress(t)
	start := func(token string) (end func()) {
		account := filepath.Join(dir, token)
		replaceFile(t, filepath.Join(dir, "account", "token"), token)
		if err := os.CopyFS(account, os.DirFS(filepath.Join(dir, "account"))); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan int, 1)
		p := program{getenv: func(string) string { return "" }, stdout: io.Discard, stderr: io.Discard,
			args: append(options, "-health", address, "-every", "5ms", "-service-account", account)}
		go func() { ended <- p.run(ctx) }()
		return func() {
			cancel()
			if code := <-ended; code != 0 {
				t.Errorf("the installer of %s ended with %d", token, code)
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
	endOld := start("old")
	onNode("old")
	endUpdate := start("taken-back")
	onNode("taken-back")
	endUpdate()
	onNode("old")
	endUpdate = start("update")
	onNode("update")
	endOld()
	onNode("update")
	awaitHealth(t, address, http.StatusOK, "installed")
	endUpdate()
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

func awaitHealth(t *testing.T, address string, status int, says string) {
	t.Helper()
	await(t, "/healthz says "+says, func() bool {
		got, body := get(address, "/healthz")
		return got == status && strings.Contains(body, says)
	})
}

func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("it does not come about that %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
