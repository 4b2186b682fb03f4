package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// withoutMaster is a netconf to install whose default network is to be found.
const withoutMaster = `{"cniVersion": "1.0.0", "name": "n", "type": "kactus",
	"kubeconfig": "/conf/kactus.d/kactus-kubeconfig.yaml"}`

// installable is a netconf that names the kubeconfig which the installer writes.
var installable = strings.Replace(validNetconf, `"type"`,
	`"kubeconfig": "/conf/kactus.d/kactus-kubeconfig.yaml", "type"`, 1)

func TestInstall_OneShot(t *testing.T) {
	dir, args, _ := newHost(t)
	conf := dir + "/conf/00-kactus.conf"
	for _, step := range []struct {
		flags      []string
		stdout     []string
		hasNetconf bool
	}{
		{[]string{"-dry-run"}, []string{"would write " + dir + "/bin/kactus", "would write " + conf}, false},
		{[]string{"-once"}, []string{"write " + conf}, true},
		{[]string{"-dry-run"}, []string{"nothing to do"}, true},
		{[]string{"-uninstall", "-dry-run"}, []string{"would remove " + conf}, true},
		{[]string{"-uninstall"}, []string{"remove " + conf}, false},
	} {
		got := run(nil, "", append(args, step.flags...)...)
		expectAll(t, "stdout", got.stdout, step.stdout)
		if got.code != 0 || exists(conf) != step.hasNetconf {
			t.Errorf("%v: exit status %d, has a netconf: %v", step.flags, got.code, exists(conf))
		}
	}
	t.Run("without the right to ask for tokens", func(t *testing.T) {
		dir, args, api := newHost(t)
		api.refuse.Store(true)
		got := run(nil, "", append(args, "-once")...)
		expectAll(t, "stderr", got.stderr, []string{"token", "403"})
		if got.code != 0 || !onNode(dir, podToken("pod", 100)) {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("with a netconf for agents", func(t *testing.T) {
		agents := dir + "/agent.d/00-kactus.conf"
		args := append(args, "-agent-netconf-dir", dir+"/agent.d", "-agent-netconf-name", "hot",
			"-agent-cni-version", "0.3.1")
		for _, step := range []struct{ flag, stdout string }{
			{"-once", "write " + agents}, {"-dry-run", "nothing to do"},
		} {
			got := run(nil, "", append(args, step.flag)...)
			expectAll(t, "stdout", got.stdout, []string{step.stdout})
		}
		content, _ := os.ReadFile(agents)
		expectAll(t, "the netconf", string(content), []string{`"name": "hot"`, `"cniVersion": "0.3.1"`})
		if got := run(nil, "", "validate", agents); got.code != 0 {
			t.Errorf("validate: got %+v", got)
		}
		got := run(nil, "", append(args, "-uninstall")...)
		expectAll(t, "stdout", got.stdout, []string{"remove " + agents})
		if got.code != 0 || exists(agents) {
			t.Errorf("exit status %d, has a netconf for agents: %v", got.code, exists(agents))
		}
	})
	t.Run("an invalid netconf", func(t *testing.T) {
		replaceFile(t, dir+"/00-kactus.conf", "{}")
		got := run(nil, "", append(args, "-once")...)
		expectAll(t, "stderr", got.stderr, []string{"00-kactus.conf", "delegates"})
		if got.code != 1 || exists(conf) {
			t.Errorf("exit status %d, has a netconf: %v", got.code, exists(conf))
		}
	})
}

// onNode reports whether the node has the token.
func onNode(dir, token string) bool {
	kubeconfig, _ := os.ReadFile(dir + "/conf/kactus.d/kactus-kubeconfig.yaml")
	return strings.Contains(string(kubeconfig), "token: "+token+"\n")
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
		"help":            {nil, []string{"-h"}, 0, "-service-account"},
		"an unknown flag": {nil, []string{"-frob"}, 2, "frob"},
		"an argument":     {nil, []string{"-server", "https://x", "now"}, 2, "now"},
		"no server":       {nil, []string{"-once"}, 2, "-server"},
		"agents' netconf: one of an unknown version": {nil,
			[]string{"-uninstall", "-agent-netconf-dir", "/a", "-agent-cni-version", "2.0.0"}, 2, `"2.0.0"`},
		"agents' netconf: one with a wrong name": {nil,
			[]string{"-uninstall", "-agent-netconf-dir", "/a", "-agent-netconf-name", "a b"}, 2, `"a b"`},
		"agents' netconf: one that the runtime would read": {nil,
			[]string{"-uninstall", "-agent-netconf-dir", "/etc/cni/net.d"}, 2, "/etc/cni/net.d"},
		"agents' netconf: none by default":  {nil, []string{"-h"}, 0, "agent.d (default: none)"},
		"agents' netconf: 0.4.0 by default": {nil, []string{"-h"}, 0, `(default "0.4.0")`},
		"an unknown probe":                  {nil, []string{"-probe", "health"}, 2, "-probe"},
		"every must be positive":            {nil, []string{"-server", "https://x", "-every", "0s"}, 2, "-every"},
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

// startInstaller starts an installer that runs until end.
func startInstaller(t *testing.T, out io.Writer, args ...string) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	ended := make(chan int, 1)
	c := cli{getenv: func(string) string { return "" }, args: slices.Insert(slices.Clone(args), 1, "-every", "5ms"),
		stdout: out, stderr: out}
	go func() { ended <- c.run(ctx) }()
	return func() {
		t.Helper()
		begin := time.Now()
		cancel()
		if code := <-ended; code != 0 || time.Since(begin) > 2*time.Second {
			t.Errorf("exit status %d after %s", code, time.Since(begin))
		}
	}
}

func TestInstall_KeepsTheNodeUpToDate(t *testing.T) {
	dir, args, api := newHost(t)
	address, socket := freeAddress(t), dir+"/run/probe.sock"
	var out output
	end := startInstaller(t, &out, append(args, "-health", address, "-socket", socket,
		"-agent-netconf-dir", dir+"/agent.d")...)

	awaitHealth(t, address, http.StatusOK, "installed")
	if status, _ := get(address, "/livez"); status != http.StatusOK {
		t.Errorf("/livez: got %d", status)
	}
	if !onNode(dir, issuedToken(1)) || api.issued.Load() != 1 {
		t.Errorf("the node does not have its own token, %d were issued", api.issued.Load())
	}
	awaitProbe(t, socket, "ready", 0, "installed")
	awaitProbe(t, socket, "live", 0, "")
	replaceFile(t, dir+"/00-kactus.conf", "{}")
	awaitHealth(t, address, http.StatusServiceUnavailable, "name: missing")
	awaitProbe(t, socket, "ready", 1, "name: missing")
	awaitProbe(t, socket, "live", 0, "")
	replaceFile(t, dir+"/00-kactus.conf", installable)
	awaitHealth(t, address, http.StatusOK, "installed")
	if err := os.Remove(dir + "/agent.d/00-kactus.conf"); err != nil {
		t.Fatal(err)
	}
	await(t, "the agents have a netconf again", func() bool { return exists(dir + "/agent.d/00-kactus.conf") })
	replaceFile(t, dir+"/agent.d/00-b.conf", "{}")
	awaitHealth(t, address, http.StatusServiceUnavailable, "00-b.conf")
	replaceFile(t, dir+"/conf/00-a.conf", "{}")
	awaitHealth(t, address, http.StatusServiceUnavailable, "00-a.conf")

	end()
	if !exists(dir + "/conf/00-kactus.conf") {
		t.Error("the node has no netconf anymore")
	}
	expectAll(t, "the log", out.String(), []string{"installed", "name: missing", "00-a.conf", "agent.d/00-b.conf"})
	if strings.Contains(out.String(), issuedToken(1)) {
		t.Errorf("the token is in the log: %s", out.String())
	}
	awaitProbe(t, socket, "ready", 1, "")
}

// On a new node, Pods could start with the default network alone until kactus is installed: the
// installer does not wait for its interval.
func TestInstall_FollowsTheDefaultNetworkAtOnce(t *testing.T) {
	dir, args, _ := newHost(t)
	address, conf := freeAddress(t), dir+"/conf/00-kactus.conf"
	replaceFile(t, dir+"/00-kactus.conf", withoutMaster)
	var out output
	defer startInstaller(t, &out, append(args, "-health", address, "-socket", "", "-every", "1h")...)()
	awaitHealth(t, address, http.StatusServiceUnavailable, "delegates has no master delegate")
	for _, name := range []string{"first", "second"} {
		replaceFile(t, dir+"/conf/20-ptp.conf", `{"name": "`+name+`", "type": "ptp"}`)
		awaitHealth(t, address, http.StatusOK, "installed, with the default network "+name+" (ptp) of ")
		if content, _ := os.ReadFile(conf); !strings.Contains(string(content), `"`+name+`"`) {
			t.Errorf("the node has %s", content)
		}
	}
	if err := os.Remove(conf); err != nil {
		t.Fatal(err)
	}
	await(t, "the node has a netconf again", func() bool { return exists(conf) })
	expectAll(t, "the log", out.String(), []string{"write " + conf + ", whose default network is second (ptp) of "})
}

func TestInstall_DryRunShowsTheNetconf(t *testing.T) {
	dir, args, _ := newHost(t)
	replaceFile(t, dir+"/00-kactus.conf", withoutMaster)
	args = append(args, "-dry-run")
	got := run(nil, "", args...)
	expectAll(t, "stderr", got.stderr, []string{"find the default network", "10-other.conf"})
	if got.code != 1 {
		t.Errorf("exit status %d", got.code)
	}
	replaceFile(t, dir+"/conf/20-ptp.conf", `{"name": "plain", "type": "ptp", "mtu": 1400}`)
	got = run(nil, "", args...)
	expectAll(t, "stdout", got.stdout, []string{"would write " + dir +
		"/conf/00-kactus.conf, whose default network is " +
		"plain (ptp) of " + dir + "/conf/20-ptp.conf\n\t{\n", "\"mtu\": 1400",
		"the default network is plain (ptp) of "})
	if got.code != 0 || exists(dir+"/conf/00-kactus.conf") {
		t.Errorf("exit status %d, has a netconf: %v", got.code, exists(dir+"/conf/00-kactus.conf"))
	}
	t.Run("of another default network", func(t *testing.T) {
		got := run(nil, "", append(args, "-default-network", "blue")...)
		expectAll(t, "stderr", got.stderr, []string{"no network blue", "; it has plain (ptp) of "})
	})
	t.Run("and from what, if there is nothing to do", func(t *testing.T) {
		if got := run(nil, "", append(args[:len(args)-1:len(args)-1], "-once")...); got.code != 0 {
			t.Fatalf("got %+v", got)
		}
		got := run(nil, "", args...)
		expectAll(t, "stdout", got.stdout, []string{"nothing to do", "the default network is plain (ptp) of "})
	})
}

// Without the right to ask for one, the node gets the Pod's token, as the kubelet renews it.
func TestInstall_ThePodsToken(t *testing.T) {
	dir, args, api := newHost(t)
	address := freeAddress(t)
	api.refuse.Store(true)
	defer startInstaller(t, io.Discard, append(args, "-health", address, "-socket", "")...)()
	awaitHealth(t, address, http.StatusOK, "403")
	renewed := podToken("pod", 200)
	replaceFile(t, dir+"/account/token", renewed)
	await(t, "the new token is on the node", func() bool { return onNode(dir, renewed) })
}

func TestInstall_UpdateAndRollback(t *testing.T) {
	dir, args, _ := newHost(t)
	address := freeAddress(t)
	start := func(pod string) (end func()) {
		account, binary := filepath.Join(dir, pod), filepath.Join(dir, pod+"-binary")
		replaceFile(t, filepath.Join(dir, "account", "token"), podToken(pod, 100))
		replaceFile(t, binary, pod)
		if err := os.CopyFS(account, os.DirFS(filepath.Join(dir, "account"))); err != nil {
			t.Fatal(err)
		}
		return startInstaller(t, io.Discard, append(args, "-health", address, "-socket", account+"/probe.sock",
			"-service-account", account, "-binary", binary)...)
	}
	installed := func(pod string) {
		t.Helper()
		await(t, "the node has kactus of "+pod, func() bool {
			binary, _ := os.ReadFile(dir + "/bin/kactus")
			return string(binary) == pod
		})
	}
	endFirst := start("1")
	installed("1")
	endWithdrawn := start("22")
	installed("22")
	endWithdrawn()
	installed("1")
	endUpdate := start("333")
	installed("333")
	awaitProbe(t, dir+"/333/probe.sock", "ready", 0, "installed")
	awaitProbe(t, dir+"/1/probe.sock", "ready", 0, "waiting")
	endFirst()
	installed("333")
	awaitHealth(t, address, http.StatusOK, "installed")
	endUpdate()
}

// A probe must not be answered by another container's installer: the old one serves at the node's
// address while the new one fails.
func TestInstall_ProbesAskTheirOwnContainer(t *testing.T) {
	dir, args, _ := newHost(t)
	address := freeAddress(t)
	defer startInstaller(t, io.Discard, append(args, "-health", address, "-socket", dir+"/old.sock")...)()
	awaitProbe(t, dir+"/old.sock", "ready", 0, "installed")
	awaitProbe(t, dir+"/new.sock", "ready", 1, "")
	awaitProbe(t, dir+"/new.sock", "live", 1, "")

	t.Run("a version that cannot reach the apiserver", func(t *testing.T) {
		before := nodeFiles(t, dir)
		defer startInstaller(t, io.Discard, append(args, "-health", address, "-socket", dir+"/new.sock",
			"-server", "https://127.0.0.1:1", "-binary", dir+"/00-kactus.conf")...)()
		awaitProbe(t, dir+"/new.sock", "ready", 1, "127.0.0.1:1")
		awaitHealth(t, address, http.StatusOK, "installed")
		if after := nodeFiles(t, dir); after != before {
			t.Errorf("the node's files changed: %s", after)
		}
	})
	t.Run("the socket of a container that was killed", func(t *testing.T) {
		socket := dir + "/killed.sock"
		if err := os.WriteFile(socket, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		defer startInstaller(t, io.Discard, append(args, "-health", "", "-socket", socket)...)()
		awaitProbe(t, socket, "ready", 0, "")
	})
}
