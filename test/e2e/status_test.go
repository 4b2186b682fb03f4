package e2e

import (
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	newTenant := func(t *testing.T) *kactustest.Tenant {
		tn := kactustest.NewTenant(t)
		tn.Conf.CNIVersion = "1.1.0"
		return tn
	}
	t.Run("succeeds although the apiserver is down", func(t *testing.T) {
		tn := newTenant(t)
		tn.Conf.Kubeconfig = tn.UnreachableKubeconfig(t, kactustest.NodeToken)
		kactustest.Must(t, tn.Status(t))
	})
	for _, c := range []struct {
		what   string
		change func(t *testing.T, tn *kactustest.Tenant)
		code   uint
		says   string
	}{
		{"the kubeconfig is missing", func(_ *testing.T, tn *kactustest.Tenant) { tn.Conf.Kubeconfig += ".gone" }, 50,
			"kubeconfig"},
		{"a delegate hangs", func(t *testing.T, tn *kactustest.Tenant) {
			tn.AddScript(t, "hung", `trap '' TERM; while :; do sleep 0.01; done`)
			tn.SetDelegates(`{"masterPlugin": true, "type": "hung"}`)
		}, 50, "hung"},
	} {
		t.Run("fails where "+c.what, func(t *testing.T) {
			tn := newTenant(t)
			c.change(t, tn)
			begin := time.Now()
			kactustest.ExpectError(t, kactustest.CNIError(t, tn.Status(t)), c.code, c.says)
			// the limit is ten seconds; the rest is for a busy machine
			if took := time.Since(begin); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}
