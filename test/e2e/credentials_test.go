package e2e

import (
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestCredentials(t *testing.T) {
	t.Parallel()
	t.Run("a token that the apiserver does not know fails the ADD at once", func(t *testing.T) {
		tn := newTenant(t)
		tn.conf.Kubeconfig = tn.kubeconfig(t, "unknown", "unknown-token")
		p := tn.pod(t, `[]`)
		begin := time.Now()
		asked := requests(t, tn.namespace, func() { expectError(t, p.addError(t), 100, p.name, "401") })
		if len(asked) != 1 || time.Since(begin) > 10*time.Second {
			t.Errorf("requests in %s: %q; want one", time.Since(begin), asked)
		}
		p.expectUntouched(t)
	})
	t.Run("a user whom RBAC forbids fails the ADD at once", func(t *testing.T) {
		tn := newTenant(t)
		tn.conf.Kubeconfig = tn.kubeconfig(t, "stranger", strangerToken)
		p := tn.pod(t, `[]`)
		asked := requests(t, tn.namespace, func() { expectError(t, p.addError(t), 100, p.name, "403") })
		if len(asked) != 1 {
			t.Errorf("requests: %q; want one", asked)
		}
		p.expectUntouched(t)
	})
	t.Run("the agent's user cannot ADD a Pod", func(t *testing.T) {
		tn := newTenant(t)
		tn.conf.Kubeconfig = tn.agentKubeconfig
		p := tn.pod(t, `[]`)
		expectError(t, p.addError(t), 100, p.name, "403")
		p.expectUntouched(t)
	})
}

func TestInCluster(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	p := tn.podWith(t, nil)
	tn.conf.Kubeconfig = ""
	t.Run("credentials that are not there fail the ADD", func(t *testing.T) {
		expectError(t, p.addError(t), 100, "in-cluster")
		p.expectUntouched(t)
	})
	t.Run("credentials serve where the netconf has no kubeconfig", func(t *testing.T) {
		const dir = "/var/run/secrets/kubernetes.io/serviceaccount" // of the suite's own /run
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		for name, content := range map[string][]byte{"token": []byte(nodeToken), "ca.crt": suite.cp.CAPEM()} {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		server, err := url.Parse(suite.cp.URL())
		if err != nil {
			t.Fatal(err)
		}
		c := p.runtime()
		c.env = []string{"KUBERNETES_SERVICE_HOST=" + server.Hostname(), "KUBERNETES_SERVICE_PORT=" + server.Port()}
		if _, err := p.start(t, "ADD", tn.conf, c).wait(t); err != nil {
			t.Fatalf("ADD: %v", err)
		}
		p.expectDevices(t, "eth0")
		p.del(t)
		p.expectGone(t)
	})
}
