package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

func TestAdd_DelegateError(t *testing.T) {
	t.Parallel()
	fails := `[ "$CNI_COMMAND" = ADD ] || exit 0
echo 'it is on fire' >&2
echo '{"cniVersion": "1.0.0", "code": 142, "msg": "no room", "details": "the shelf is full"}'
exit 1
`
	t.Run("everything is rolled back, and the error has its words", func(t *testing.T) {
		tn := kactustest.NewTenant(t)
		tn.AddScript(t, "fails", fails)
		tn.CreateBridgeNetworks(t, "green", "blue")
		tn.CreateNetwork(t, "data", `{"type": "fails"}`)
		p := tn.NewPod(t, `[{"name":"green"},{"name":"blue"},{"name":"data"}]`)
		e := p.AddError(t)
		p.ExpectGone(t)
		kactustest.ExpectError(t, e, 102, "data", "fails", "no room")
		for _, want := range []string{"142", "the shelf is full", "it is on fire"} {
			if !strings.Contains(e.Details, want) {
				t.Errorf("details: %q; want %q in it", e.Details, want)
			}
		}
		t.Run("the Pod's DEL has nothing to do", func(t *testing.T) {
			p.Del(t)
			p.ExpectGone(t)
		})
	})
}

func TestAdd_KactusAsDelegate(t *testing.T) {
	t.Parallel()
	t.Run("kactus under another name is refused", func(t *testing.T) {
		tn := kactustest.NewTenant(t)
		tn.AddScript(t, "other", "exit 1\n")
		if err := os.Link(kactustest.KactusPath(), filepath.Join(tn.Path[0], "alias")); err != nil {
			t.Fatal(err)
		}
		tn.CreateNetwork(t, "green", `{"type": "alias"}`)
		p := tn.NewPod(t, `[{"name":"green"}]`)
		kactustest.ExpectError(t, p.AddError(t), 102, "green", "alias")
		p.ExpectUntouched(t)
	})
}

func TestAdd_MissingObjects(t *testing.T) {
	t.Parallel()
	t.Run("a missing Pod is error 11, and nothing is touched", func(t *testing.T) {
		tn := kactustest.NewTenant(t)
		p := tn.NewAbsentPod(t)
		kactustest.ExpectError(t, p.AddError(t), 11, tn.Namespace, p.Name)
		p.ExpectUntouched(t)
	})
	t.Run("a missing Network is error 11, and nothing is touched", func(t *testing.T) {
		tn := kactustest.NewTenant(t)
		tn.CreateBridgeNetworks(t, "green")
		p := tn.NewPod(t, `[{"name":"green"},{"name":"blue"}]`)
		kactustest.ExpectError(t, p.AddError(t), 11, "blue", tn.Namespace)
		p.ExpectUntouched(t)
		tn.CreateBridgeNetworks(t, "blue")
		p.Add(t)
		p.ExpectInterfaces(t, "eth0", kactustest.GreenIfName, kactustest.BlueIfName)
		p.Del(t)
		p.ExpectGone(t)
	})
}

func TestAdd_PodIdentity(t *testing.T) {
	t.Parallel()
	t.Run("a Pod replaced under its name is refused", func(t *testing.T) {
		tn := kactustest.NewTenant(t)
		p := tn.NewPod(t, `[]`)
		was := p.UID
		kactustest.Delete(t, kactustest.PodsPath(tn.Namespace), p.Name)
		now := kactustest.Create(t, kactustest.PodsPath(tn.Namespace), kactustest.PodObject(p.Name, nil)).Metadata.UID
		kactustest.ExpectError(t, p.AddError(t), 101, p.Name, was, now)
		p.ExpectUntouched(t)
	})
	t.Run("a static Pod is identified by the hash of its file", func(t *testing.T) {
		tn := kactustest.NewTenant(t)
		p := tn.NewAnnotatedPod(t, map[string]string{"kubernetes.io/config.hash": "1c7e4dd5a0b9f3e2"})
		p.UID = "1c7e4dd5a0b9f3e2"
		p.Add(t)
		p.ExpectInterfaces(t, "eth0")
		p.Del(t)
		p.ExpectGone(t)
	})
}
