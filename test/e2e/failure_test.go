package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFailingDelegate(t *testing.T) {
	t.Parallel()
	fails := `[ "$CNI_COMMAND" = ADD ] || exit 0
echo 'it is on fire' >&2
echo '{"cniVersion": "1.0.0", "code": 142, "msg": "no room", "details": "the shelf is full"}'
exit 1
`
	t.Run("as the third network has everything rolled back", func(t *testing.T) {
		tn := newTenant(t)
		tn.script(t, "fails", fails)
		tn.bridges(t, "green", "blue")
		tn.network(t, "data", `{"type": "fails"}`)
		p := tn.pod(t, `[{"name":"green"},{"name":"blue"},{"name":"data"}]`)
		e := p.addError(t)
		p.expectGone(t)
		expectError(t, e, 102, "data", "fails", "no room")
		for _, want := range []string{"142", "the shelf is full", "it is on fire"} {
			if !strings.Contains(e.Details, want) {
				t.Errorf("details: %q; want %q in it", e.Details, want)
			}
		}
		t.Run("and the Pod's DEL has nothing to do", func(t *testing.T) {
			p.del(t)
			p.expectGone(t)
		})
	})
}

func TestMissingPlugin(t *testing.T) {
	t.Parallel()
	t.Run("that is kactus by another name is told before anything is touched", func(t *testing.T) {
		tn := newTenant(t)
		tn.script(t, "other", "exit 1\n")
		if err := os.Link(filepath.Join(suite.kactus, "kactus"), filepath.Join(tn.path[0], "alias")); err != nil {
			t.Fatal(err)
		}
		tn.network(t, "green", `{"type": "alias"}`)
		p := tn.pod(t, `[{"name":"green"}]`)
		expectError(t, p.addError(t), 102, "green", "kactus itself")
		p.expectUntouched(t)
	})
}

func TestAbsent(t *testing.T) {
	t.Parallel()
	t.Run("a Pod is worth another try, and gets nothing", func(t *testing.T) {
		tn := newTenant(t)
		p := tn.absentPod(t)
		expectError(t, p.addError(t), 11, tn.namespace, p.name)
		p.expectUntouched(t)
	})
	t.Run("a Network is worth another try, and its Pod gets nothing", func(t *testing.T) {
		tn := newTenant(t)
		tn.bridges(t, "green")
		p := tn.pod(t, `[{"name":"green"},{"name":"blue"}]`)
		expectError(t, p.addError(t), 11, "blue", tn.namespace)
		p.expectUntouched(t)
		tn.bridges(t, "blue")
		p.add(t)
		p.expectDevices(t, "eth0", greenDevice, blueDevice)
		p.del(t)
		p.expectGone(t)
	})
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	t.Run("a Pod that was replaced under its name gets nothing", func(t *testing.T) {
		tn := newTenant(t)
		p := tn.pod(t, `[]`)
		was := p.uid
		remove(t, podsPath(tn.namespace), p.name)
		now := create(t, podsPath(tn.namespace), podObject(p.name, nil)).Metadata.UID
		expectError(t, p.addError(t), 101, p.name, was, now)
		p.expectUntouched(t)
	})
	t.Run("a static Pod is known by the hash of its file", func(t *testing.T) {
		tn := newTenant(t)
		p := tn.podWith(t, map[string]string{"kubernetes.io/config.hash": "1c7e4dd5a0b9f3e2"})
		p.uid = "1c7e4dd5a0b9f3e2"
		p.add(t)
		p.expectDevices(t, "eth0")
		p.del(t)
		p.expectGone(t)
	})
}
