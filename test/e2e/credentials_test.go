package e2e

import (
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

func TestAdd_Credentials(t *testing.T) {
	t.Parallel()
	t.Run("an unknown token fails the ADD at once", func(t *testing.T) {
		tn := kactustest.NewTenant(t)
		tn.Conf.Kubeconfig = tn.NewKubeconfig(t, "unknown", "unknown-token")
		p := tn.NewPod(t, `[]`)
		begin := time.Now()
		requests := kactustest.Requests(t, tn.Namespace,
			func() { kactustest.ExpectError(t, p.AddError(t), 100, p.Name, "401") })
		if len(requests) != 1 || time.Since(begin) > 10*time.Second {
			t.Errorf("requests in %s: %q; want one", time.Since(begin), requests)
		}
		p.ExpectUntouched(t)
	})
	t.Run("a user without rights fails the ADD at once", func(t *testing.T) {
		tn := kactustest.NewTenant(t)
		tn.Conf.Kubeconfig = tn.NewKubeconfig(t, "stranger", kactustest.StrangerToken)
		p := tn.NewPod(t, `[]`)
		requests := kactustest.Requests(t, tn.Namespace,
			func() { kactustest.ExpectError(t, p.AddError(t), 100, p.Name, "403") })
		if len(requests) != 1 {
			t.Errorf("requests: %q; want one", requests)
		}
		p.ExpectUntouched(t)
	})
	t.Run("the agent's user cannot add a Pod", func(t *testing.T) {
		tn := kactustest.NewTenant(t)
		tn.Conf.Kubeconfig = tn.AgentKubeconfig
		p := tn.NewPod(t, `[]`)
		kactustest.ExpectError(t, p.AddError(t), 100, p.Name, "403")
		p.ExpectUntouched(t)
	})
}

func TestAdd_InClusterCredentials(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	p := tn.NewAnnotatedPod(t, nil)
	tn.Conf.Kubeconfig = ""
	t.Run("missing credentials fail the ADD", func(t *testing.T) {
		kactustest.ExpectError(t, p.AddError(t), 100, "in-cluster")
		p.ExpectUntouched(t)
	})
	t.Run("credentials are used without a kubeconfig", func(t *testing.T) {
		const dir = "/var/run/secrets/kubernetes.io/serviceaccount" // on the node's own /run
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		for name, content := range map[string][]byte{"token": []byte(kactustest.NodeToken),
			"ca.crt": kactustest.ControlPlane().CAPEM()} {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		server, err := url.Parse(kactustest.ControlPlane().URL())
		if err != nil {
			t.Fatal(err)
		}
		c := p.Runtime()
		c.Env = []string{"KUBERNETES_SERVICE_HOST=" + server.Hostname(), "KUBERNETES_SERVICE_PORT=" + server.Port()}
		if _, err := p.Start(t, "ADD", tn.Conf, c).Wait(t); err != nil {
			t.Fatalf("ADD: %v", err)
		}
		p.ExpectInterfaces(t, "eth0")
		p.Del(t)
		p.ExpectGone(t)
	})
}
