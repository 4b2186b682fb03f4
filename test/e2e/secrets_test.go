package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The credentials that an ADD was given are in nothing that it leaves or says: not in its error, its log at the level of debug, its ledger, nor in what a
// delegate is given.
func TestSecrets(t *testing.T) {
	t.Parallel()
	const marker, key = "MARKER-OF-THE-TOKEN", "TUFSS0VSLU9GLVRIRS1LRVk=" // the latter as base64 is in a kubeconfig
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
	for what, kubeconfig := range map[string]func(t *testing.T, tn *tenant) string{
		"that the apiserver refuses":            func(t *testing.T, tn *tenant) string { return tn.kubeconfig(t, "unknown", marker) },
		"that a page repeats":                   func(t *testing.T, tn *tenant) string { return tn.impostor(t, marker, page(http.StatusUnauthorized)) },
		"that a page repeats as if all is well": func(t *testing.T, tn *tenant) string { return tn.impostor(t, marker, page(http.StatusOK)) },
		"that a Status repeats":                 func(t *testing.T, tn *tenant) string { return tn.impostor(t, marker, status) },
		"of a kubeconfig that is broken": func(t *testing.T, tn *tenant) string {
			return tn.spoilt(t, marker, "users:", "users: {")
		},
		"of a kubeconfig with a certificate that is none": func(t *testing.T, tn *tenant) string {
			return tn.spoilt(t, marker, "  user:\n", "  user:\n    client-certificate-data: "+key+"\n    client-key-data: "+key+"\n")
		},
	} {
		t.Run(what, func(t *testing.T) {
			tn := newTenant(t)
			tn.conf.CNIVersion, tn.conf.APITimeout = "1.1.0", "1s"
			told := filepath.Join(tn.dir, "told")
			tn.script(t, "records", "{ env; cat; } >>"+told+"\n"+`[ "$CNI_COMMAND" != ADD ] || echo '{"cniVersion": "1.0.0"}'`)
			tn.delegates(`{"masterPlugin": true, "type": "records", "cniVersion": "1.0.0"}`)
			p, other := tn.podWith(t, nil), tn.podWith(t, nil)
			p.add(t)
			conf := tn.conf
			conf.Kubeconfig = kubeconfig(t, tn)
			for _, do := range []struct {
				pod  *pod
				verb string
				call call
			}{
				{other, "ADD", other.runtime()}, {p, "ADD", p.agent("green", "")}, {p, "CHECK", p.runtime()}, {p, "STATUS", p.runtime()}, {p, "DEL", p.runtime()},
			} {
				r := do.pod.start(t, do.verb, conf, do.call)
				<-r.exited
				expectNoSecret(t, "what kactus printed", r.stdout.Bytes(), marker, key)
				expectNoSecret(t, "what kactus printed", r.stderr.Bytes(), marker, key)
			}
			for _, file := range []string{tn.conf.LogFile, told} {
				data, err := os.ReadFile(file)
				if err != nil || len(data) == 0 {
					t.Errorf("%s: %d bytes, %v", file, len(data), err)
				}
				expectNoSecret(t, file, data, marker, key)
			}
			for _, name := range fileNames(t, tn.conf.CNIDir) {
				data, _ := os.ReadFile(filepath.Join(tn.conf.CNIDir, name))
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

// spoilt is the path of a kubeconfig with that token and a text replaced.
func (tn *tenant) spoilt(t *testing.T, token, old, instead string) string {
	t.Helper()
	path := tn.kubeconfig(t, "spoilt", token)
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(strings.ReplaceAll(string(data), old, instead)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}
