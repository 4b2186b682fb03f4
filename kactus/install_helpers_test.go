package main

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// newHost returns a node's directories with what a container of the DaemonSet sees, the command
// line of kactus install for them, and an apiserver that issues tokens.
func newHost(t *testing.T) (dir string, args []string, api *tokenServer) {
	t.Helper()
	dir, api = t.TempDir(), newTokenServer(t)
	for path, content := range map[string]string{
		"bin/ptp": "plugin", "account/token": podToken("pod", 100), "account/ca.crt": api.authority(),
		"00-kactus.conf": installable, "kactus": "kactus", "conf/10-other.conf": "{}",
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
		"-netconf", dir + "/00-kactus.conf", "-service-account", dir + "/account", "-server", api.URL}, api
}

// A tokenServer is an apiserver that knows the installers' Pods and issues tokens.
type tokenServer struct {
	*httptest.Server
	refuse atomic.Bool
	issued atomic.Int32
}

func newTokenServer(t *testing.T) *tokenServer {
	t.Helper()
	s := &tokenServer{}
	const namespace = "/api/v1/namespaces/kube-system/"
	mux := http.NewServeMux()
	mux.HandleFunc("GET /version", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET "+namespace+"pods/{name}", func(w http.ResponseWriter, r *http.Request) {
		// The Pods are as old as their names are short.
		created := time.Unix(int64(1000*len(r.PathValue("name"))), 0).UTC().Format(time.RFC3339)
		fmt.Fprintf(w, `{"metadata": {"creationTimestamp": %q}}`, created)
	})
	mux.HandleFunc("POST "+namespace+"serviceaccounts/kactus/token", func(w http.ResponseWriter, _ *http.Request) {
		if s.refuse.Load() {
			http.Error(w, "refused", http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, `{"status": {"token": %q}}`, issuedToken(int(s.issued.Add(1))))
	})
	s.Server = httptest.NewTLSServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *tokenServer) authority() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

// podToken returns a token of a Pod; issuedToken, the one that a tokenServer issues as the nth.
func podToken(pod string, issuedAt int) string {
	return serviceAccountToken(fmt.Sprintf(`"iat":%d,"kubernetes.io":{"pod":{"name":%q}}`, issuedAt, pod))
}

func issuedToken(n int) string { return serviceAccountToken(fmt.Sprintf(`"iat":%d`, 10000+n)) }

func serviceAccountToken(claims string) string {
	payload := `{"sub":"system:serviceaccount:kube-system:kactus",` + claims + `}`
	return "header." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".signature"
}

// nodeFiles returns the files on the node, without the locks.
func nodeFiles(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	for _, file := range []string{"bin/kactus", "conf/00-kactus.conf", "conf/kactus.d/kactus-kubeconfig.yaml"} {
		content, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "%s: %s\n", file, content)
	}
	return all.String()
}

func awaitProbe(t *testing.T, socket, probe string, code int, word string) {
	t.Helper()
	await(t, fmt.Sprintf("probe %s: exit status %d and %q", probe, code, word), func() bool {
		got := run(nil, "", "install", "-probe", probe, "-socket", socket)
		return got.code == code && strings.Contains(got.stdout, word)
	})
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
