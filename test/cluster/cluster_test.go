package cluster_test

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// dieEnv makes the test binary start a control plane in the folder that it names and
// then wait to be killed.
const dieEnv = "KACTUS_TEST_CLUSTER_DIE"

// dieNodesEnv makes it start a cluster with nodes there, dieUpEnv bring up one in the
// background, to be killed while it does.
const (
	dieNodesEnv = "KACTUS_TEST_CLUSTER_DIE_NODES"
	dieUpEnv    = "KACTUS_TEST_CLUSTER_DIE_UP"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(dieEnv); dir != "" {
		startAndWait(dir)
	}
	if dir := os.Getenv(dieUpEnv); dir != "" {
		startUntilKilled(cluster.UpNodes, dir)
	}
	if dir := os.Getenv(dieNodesEnv); dir != "" {
		startUntilKilled(cluster.StartNodes, dir)
	}
	os.Exit(m.Run())
}

func TestControlPlane(t *testing.T) {
	binaries := build(t)
	t.Setenv("TMPDIR", t.TempDir())
	cp, err := cluster.Start(t.Context(), cluster.Options{
		Binaries: binaries,
		Users:    []cluster.User{{Name: "nobody-special", Token: "known", Groups: []string{"plain", "folk"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cp.Stop(); err != nil {
			t.Error(err)
		}
	})

	t.Run("is ready", func(t *testing.T) {
		expect(t, cp, http.MethodGet, "/readyz", "", http.StatusOK)
	})
	t.Run("runs kubectl as the administrator", func(t *testing.T) { testKubectl(t, cp) })
	t.Run("refuses a token that it does not know", func(t *testing.T) { testRefusal(t, cp, "unknown", "(Unauthorized)") })
	t.Run("forbids a user whom RBAC grants nothing", func(t *testing.T) { testRefusal(t, cp, "known", "(Forbidden)") })
	t.Run("counts requests by user", func(t *testing.T) { testAudit(t, cp) })
	t.Run("keeps address and data through an outage", func(t *testing.T) { testOutage(t, cp) })
	t.Run("leaves nothing after Stop", func(t *testing.T) { testStop(t, cp) })
}

func testKubectl(t *testing.T, cp *cluster.ControlPlane) {
	out, err := cp.Kubectl(t.Context(), "auth", "can-i", "create", "pods/exec", "--all-namespaces").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "yes" {
		t.Errorf("kubectl auth can-i: %q, %v", out, err)
	}
}

func testRefusal(t *testing.T, cp *cluster.ControlPlane, token, reason string) {
	mark := auditMark(t, cp)
	out, err := asUser(t, cp, token, "get", "pod", "p")
	if err == nil || !strings.Contains(out, reason) {
		t.Errorf("a get of a Pod with token %q: %q, %v; want %q", token, out, err, reason)
	}
	requests, err := cp.AuditRequests(t.Context(), mark)
	if err != nil || len(requests) == 0 {
		t.Fatalf("the audit log holds %v, %v; want the refused request", requests, err)
	}
	want := map[string]int{"(Unauthorized)": http.StatusUnauthorized, "(Forbidden)": http.StatusForbidden}[reason]
	if got := requests[len(requests)-1].Status; got != want {
		t.Errorf("the audit log has status %d; want %d", got, want)
	}
}

func testAudit(t *testing.T, cp *cluster.ControlPlane) {
	expect(t, cp, http.MethodGet, "/api/v1/namespaces/default/pods", "", http.StatusOK)
	mark := auditMark(t, cp)
	expect(t, cp, http.MethodGet, "/api/v1/namespaces/default/pods/absent", "", http.StatusNotFound)
	requests, err := cp.AuditRequests(t.Context(), mark)
	if err != nil {
		t.Fatal(err)
	}
	want := cluster.Request{User: "admin", UserAgent: "Go-http-client/1.1", Verb: "get", URI: "/api/v1/namespaces/default/pods/absent", Status: http.StatusNotFound}
	if len(requests) != 1 || requests[0] != want {
		t.Errorf("requests since the mark: %+v; want %+v alone", requests, want)
	}
}

func testOutage(t *testing.T, cp *cluster.ControlPlane) {
	const pod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"survivor"},"spec":{"containers":[{"name":"c","image":"none"}]}}`
	expect(t, cp, http.MethodPost, "/api/v1/namespaces/default/pods", pod, http.StatusCreated)
	url := cp.URL()
	if err := cp.StopAPIServer(); err != nil {
		t.Fatal(err)
	}
	if status, _, err := cp.Do(t.Context(), http.MethodGet, "/readyz", "", nil); err == nil {
		t.Errorf("a stopped apiserver answers %d", status)
	}
	if err := cp.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if cp.URL() != url {
		t.Errorf("the URL is %s; it was %s", cp.URL(), url)
	}
	expect(t, cp, http.MethodGet, "/api/v1/namespaces/default/pods/survivor", "", http.StatusOK)
}

func testStop(t *testing.T, cp *cluster.ControlPlane) {
	if got := len(processesNaming(t, cp.Dir())); got != 2 {
		t.Errorf("%d processes before Stop; want etcd and kube-apiserver", got)
	}
	if err := cp.Stop(); err != nil {
		t.Fatal(err)
	}
	expectGone(t, cp.Dir())
	if err := cp.Stop(); err != nil {
		t.Errorf("a second Stop: %v", err)
	}
}

func TestStartFailsAtOnceWhenAProcessEnds(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	binary := filepath.Join(t.TempDir(), "etcd")
	if err := os.WriteFile(binary, []byte("#!/bin/sh\necho the disk is on fire\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := cluster.Start(t.Context(), cluster.Options{Binaries: cluster.Binaries{cluster.Etcd: binary}})
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "the disk is on fire") {
		t.Errorf("error: %v; want the exit status and the log", err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestEverythingDiesWithTheParent(t *testing.T) {
	build(t)
	dir := t.TempDir()
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), dieEnv+"="+dir)
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	parent.Stderr = os.Stderr
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	_, readErr := stdout.Read(make([]byte, 1))
	// The environment of the parent names the folder, its command line does not.
	if got := len(processesNaming(t, dir)); got != 2 || readErr != nil {
		t.Errorf("%d processes run (%v); want 2", got, readErr)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	parent.Wait()
	eventually(t, func() bool { return len(processesNaming(t, dir)) == 0 })
}

// startAndWait says on standard output that the control plane serves.
func startAndWait(dir string) {
	if _, err := cluster.Start(context.Background(), cluster.Options{Dir: dir}); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	os.Stdout.WriteString("\n")
	select {}
}

func TestUpAndDownTwice(t *testing.T) {
	binaries := build(t)
	dir := filepath.Join(t.TempDir(), "demo")
	t.Cleanup(func() {
		if err := cluster.Down(dir); err != nil {
			t.Error(err)
		}
	})
	for range 2 {
		cp, err := cluster.Up(t.Context(), cluster.Options{Dir: dir, Binaries: binaries})
		if err != nil {
			t.Fatal(err)
		}
		expect(t, cp, http.MethodGet, "/readyz", "", http.StatusOK)
		if _, err := cluster.Up(t.Context(), cluster.Options{Dir: dir, Binaries: binaries}); err == nil {
			t.Error("a second control plane started in the same folder")
		}
		expect(t, cp, http.MethodGet, "/readyz", "", http.StatusOK)
		if err := cluster.Down(dir); err != nil {
			t.Fatal(err)
		}
		expectGone(t, dir)
	}
	if err := cluster.Down(dir); err != nil {
		t.Errorf("Down of a folder that is gone: %v", err)
	}
}

func TestDownSparesAProcessThatGotTheNumber(t *testing.T) {
	other := exec.Command("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Process.Kill(); other.Wait() })
	dir := t.TempDir()
	for name, content := range map[string]string{
		"etcd.pid":         strconv.Itoa(other.Process.Pid),
		"etcd.pid-started": "another-boot 1",
		"precious":         "not ours",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := cluster.Down(dir); err != nil {
		t.Fatal(err)
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(other.Process.Pid) + "/stat")
	if err != nil || strings.Contains(string(stat), ") Z ") {
		t.Errorf("the other process is gone: %s, %v", stat, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "precious")); err != nil {
		t.Errorf("a file of somebody else's: %v", err)
	}
}

// build returns the parts, built if need be, which can take minutes.
func build(t *testing.T) cluster.Binaries {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a control plane")
	}
	binaries, err := cluster.Build(t.Context(), os.Stderr, cluster.Parts()...)
	if err != nil {
		t.Fatal(err)
	}
	return binaries
}

func expect(t *testing.T, cp *cluster.ControlPlane, method, path, body string, want int) {
	t.Helper()
	got, answer, err := cp.Do(t.Context(), method, path, "", []byte(body))
	if err != nil || got != want {
		t.Errorf("%s %s: status %d, %v; want %d: %s", method, path, got, err, want, answer)
	}
}

func asUser(t *testing.T, cp *cluster.ControlPlane, token string, args ...string) (string, error) {
	t.Helper()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := cp.WriteKubeconfig(kubeconfig, token); err != nil {
		t.Fatal(err)
	}
	out, err := cp.Kubectl(t.Context(), append([]string{"--kubeconfig", kubeconfig}, args...)...).CombinedOutput()
	return string(out), err
}

func auditMark(t *testing.T, cp *cluster.ControlPlane) cluster.AuditMark {
	t.Helper()
	mark, err := cp.AuditMark()
	if err != nil {
		t.Fatal(err)
	}
	return mark
}

func expectGone(t *testing.T, dir string) {
	t.Helper()
	if left := processesNaming(t, dir); len(left) > 0 {
		t.Errorf("processes left: %q", left)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the state folder %s: %v; want it gone", dir, err)
	}
}

// processesNaming returns the command lines that hold the text.
func processesNaming(t *testing.T, text string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(line), text) {
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute) // it may be a slow machine, and a busy one
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatal("it does not come about")
		case <-poll.C:
		}
	}
}
