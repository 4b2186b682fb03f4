package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// TestSecrets checks that credentials do not get into what kactus prints, into its log at level
// debug, into the ledger or to a delegate.
func TestSecrets(t *testing.T) {
	t.Parallel()
	const marker, key = "MARKER-OF-THE-TOKEN", "TUFSS0VSLU9GLVRIRS1LRVk=" // the key as it is written in a kubeconfig
	page := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			fmt.Fprintf(w, "<html>You sent Authorization: %s</html>", r.Header.Get("Authorization"))
		}
	}
	status := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"kind": "Status", "message": "who is %s?"}`, r.Header.Get("Authorization"))
	}
	for what, kubeconfig := range map[string]func(t *testing.T, tn *kactustest.Tenant) string{
		"that the apiserver refuses": func(t *testing.T, tn *kactustest.Tenant) string {
			return tn.NewKubeconfig(t, "unknown", marker)
		},
		"that a page repeats": func(t *testing.T, tn *kactustest.Tenant) string {
			return fakeAPIServer(t, tn, marker, page(http.StatusUnauthorized))
		},
		"that a page with status 200 repeats": func(t *testing.T, tn *kactustest.Tenant) string {
			return fakeAPIServer(t, tn, marker, page(http.StatusOK))
		},
		"that a Status repeats": func(t *testing.T, tn *kactustest.Tenant) string {
			return fakeAPIServer(t, tn, marker, status)
		},
		"of a kubeconfig that is broken": func(t *testing.T, tn *kactustest.Tenant) string {
			return brokenKubeconfig(t, tn, marker, "users:", "users: {")
		},
		"of a kubeconfig with an invalid certificate": func(t *testing.T, tn *kactustest.Tenant) string {
			return brokenKubeconfig(t, tn, marker, "  user:\n",
				"  user:\n    client-certificate-data: "+key+"\n    client-key-data: "+key+"\n")
		},
	} {
		t.Run(what, func(t *testing.T) {
			tn := kactustest.NewTenant(t)
			tn.Conf.CNIVersion, tn.Conf.APITimeout = "1.1.0", "1s"
			seen := filepath.Join(tn.Dir, "seen")
			tn.AddScript(t, "records", "{ env; cat; } >>"+seen+"\n"+
				`[ "$CNI_COMMAND" != ADD ] || echo '{"cniVersion": "1.0.0"}'`)
			tn.SetDelegates(`{"masterPlugin": true, "type": "records", "cniVersion": "1.0.0"}`)
			p, other := tn.NewAnnotatedPod(t, nil), tn.NewAnnotatedPod(t, nil)
			p.Add(t)
			conf := tn.Conf
			conf.Kubeconfig = kubeconfig(t, tn)
			for _, do := range []struct {
				pod       *kactustest.Pod
				operation string
				call      kactustest.Call
			}{
				{other, "ADD", other.Runtime()}, {p, "ADD", p.Agent("green", "")}, {p, "CHECK", p.Runtime()},
				{p, "STATUS", p.Runtime()}, {p, "DEL", p.Runtime()},
			} {
				r := do.pod.Start(t, do.operation, conf, do.call)
				<-r.Exited
				expectNoSecret(t, "the output of kactus", r.Stdout.Bytes(), marker, key)
				expectNoSecret(t, "the output of kactus", r.Stderr.Bytes(), marker, key)
			}
			for _, file := range []string{tn.Conf.LogFile, seen} {
				data, err := os.ReadFile(file)
				if err != nil || len(data) == 0 {
					t.Errorf("%s: %d bytes, %v", file, len(data), err)
				}
				expectNoSecret(t, file, data, marker, key)
			}
			for _, name := range kactustest.FileNames(t, tn.Conf.CNIDir) {
				data, _ := os.ReadFile(filepath.Join(tn.Conf.CNIDir, name))
				expectNoSecret(t, name, data, marker, key)
			}
		})
	}
}

func expectNoSecret(t *testing.T, where string, data []byte, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if bytes.Contains(data, []byte(secret)) {
			t.Errorf("%s has the secret %s: %s", where, secret, data)
		}
	}
}

// brokenKubeconfig writes a kubeconfig with that token in which a text is replaced, and returns its
// path.
func brokenKubeconfig(t *testing.T, tn *kactustest.Tenant, token, old, instead string) string {
	t.Helper()
	path := tn.NewKubeconfig(t, "broken", token)
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(strings.ReplaceAll(string(data), old, instead)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}
