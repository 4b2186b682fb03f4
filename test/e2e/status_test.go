package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// serverLine is where a kubeconfig says where the apiserver is.
var serverLine = regexp.MustCompile(`"?server"?: *"?[^",\n]*"?`)

func TestStatus(t *testing.T) {
	t.Parallel()
	newTenant := func(t *testing.T) *tenant {
		tn := newTenant(t)
		tn.conf.CNIVersion = "1.1.0"
		return tn
	}
	t.Run("is fine, though the apiserver does not answer", func(t *testing.T) {
		tn := newTenant(t)
		tn.conf.Kubeconfig = filepath.Join(tn.dir, "nobody.kubeconfig")
		config, err := os.ReadFile(tn.kubeconfig(t, "node", nodeToken))
		succeed(t, err)
		succeed(t, os.WriteFile(tn.conf.Kubeconfig, []byte(serverLine.ReplaceAllString(string(config), "server: https://127.0.0.1:1")), 0o600))
		succeed(t, tn.libcniStatus(t))
	})
	for _, c := range []struct {
		what  string
		spoil func(t *testing.T, tn *tenant)
		code  uint
		says  string
	}{
		{"the kubeconfig is missing", func(_ *testing.T, tn *tenant) { tn.conf.Kubeconfig += ".gone" }, 50, "kubeconfig"},
		{"a delegate hangs", func(t *testing.T, tn *tenant) {
			tn.script(t, "hung", `trap '' TERM; while :; do sleep 0.01; done`)
			tn.delegates(`{"masterPlugin": true, "type": "hung"}`)
		}, 50, "hung"},
	} {
		t.Run("is not, where "+c.what, func(t *testing.T) {
			tn := newTenant(t)
			c.spoil(t, tn)
			begin := time.Now()
			expectError(t, cniError(t, tn.libcniStatus(t)), c.code, c.says)
			if took := time.Since(begin); took > 3*time.Second { // one second, and what a busy machine adds
				t.Errorf("it took %v", took)
			}
		})
	}
}
