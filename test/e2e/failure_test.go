package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
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
	t.Run("as the master has no auxiliary network begun", func(t *testing.T) {
		tn := newTenant(t)
		tn.script(t, "fails", fails)
		tn.bridges(t, "green")
		tn.delegates(`{"masterPlugin": true, "type": "fails"}`)
		p := tn.pod(t, `[{"name":"green"}]`)
		expectError(t, p.addError(t), 102, "no room")
		p.expectUntouched(t)
	})
	t.Run("of a hot ADD leaves the Pod's other networks", func(t *testing.T) {
		tn := newTenant(t)
		tn.script(t, "fails", fails)
		tn.bridges(t, "green")
		tn.network(t, "data", `{"type": "fails"}`)
		p := tn.pod(t, `[{"name":"green"}]`)
		p.add(t)
		before := p.index(t, greenDevice)
		expectError(t, p.hotAddError(t, "data"), 102, "data", "no room")
		p.expectDevices(t, "eth0", greenDevice)
		p.expectLedger(t, "attached", "eth0", greenDevice)
		if p.index(t, greenDevice) != before {
			t.Error("the device of green is another")
		}
		p.del(t)
		p.expectGone(t)
	})
	t.Run("that cannot be undone stays in the ledger until it can", func(t *testing.T) {
		tn := newTenant(t)
		tn.script(t, "sticky", "[ $CNI_COMMAND != VERSION ] || exit 1\necho '{\"code\": 142, \"msg\": \"stuck\"}'\nexit 1\n")
		tn.bridges(t, "green")
		tn.network(t, "data", `{"type": "sticky"}`)
		p := tn.pod(t, `[{"name":"green"},{"name":"data"}]`)
		expectError(t, p.addError(t), 102, "data", "stuck")
		p.expectDevices(t)
		tn.expectLeases(t, "green", 0)
		p.expectLedger(t, "planned", dataDevice)
		expectError(t, cniError(t, p.libcniDel(t, p.conf, p.runtime())), 102, "data", "stuck")
		p.expectLedger(t, "planned", dataDevice)
		tn.script(t, "sticky", "exit 0\n")
		p.del(t)
		p.expectGone(t)
	})
	t.Run("of a DEL does not keep the others from being undone", func(t *testing.T) {
		tn := newTenant(t)
		tn.script(t, "stays", "[ $CNI_COMMAND = ADD ] || { echo '{\"code\": 142, \"msg\": \"stuck\"}'; exit 1; }\nexec "+suite.plugins+"/bridge\n")
		tn.network(t, "green", "{"+strings.Replace(tn.bridge(t, "green"), `"bridge"`, `"stays"`, 1)+"}")
		tn.bridges(t, "blue")
		p := tn.pod(t, `[{"name":"green"},{"name":"blue"}]`)
		p.add(t)
		expectError(t, cniError(t, p.libcniDel(t, p.conf, p.runtime())), 102, "green", "stuck")
		p.expectDevices(t, greenDevice)
		p.expectLedger(t, "attached", greenDevice)
		tn.expectLeases(t, "blue", 0)
		tn.expectLeases(t, defaultNet, 0)
		tn.script(t, "stays", "exec "+suite.plugins+"/bridge\n")
		p.del(t)
		p.expectGone(t)
	})
}

func TestMissingPlugin(t *testing.T) {
	t.Parallel()
	for what, config := range map[string]string{
		"of a Network":                    `{"type": "no-such"}`,
		"at the end of a Network's chain": `{"plugins": [{"type": "macvlan", "master": "` + node.Uplink + `"}, {"type": "no-such"}]}`,
	} {
		t.Run(what+" is told before anything is touched", func(t *testing.T) {
			tn := newTenant(t)
			tn.network(t, "green", config)
			p := tn.pod(t, `[{"name":"green"}]`)
			expectError(t, p.addError(t), 102, "green", "no-such")
			p.expectUntouched(t)
		})
	}
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
	t.Run("of an ADD's delegate, gone since, does not hold the Pod's DEL up", func(t *testing.T) {
		tn := newTenant(t)
		tn.script(t, "passing", "exec "+suite.plugins+"/macvlan\n")
		tn.network(t, "green", `{"type": "passing", "master": "`+node.Uplink+`"}`)
		p := tn.pod(t, `[{"name":"green"}]`)
		p.add(t)
		tn.path = tn.path[1:]
		p.del(t)
		tn.expectLeases(t, defaultNet, 0)
		if r := p.record(t); len(r.Attachments) != 0 || !strings.Contains(string(r.Orphans), greenDevice) {
			t.Errorf("the ledger has %+v; want %s among the orphans", r, greenDevice)
		}
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
	t.Run("a repeated ADD is refused, and the live devices stay", func(t *testing.T) {
		tn := newTenant(t)
		tn.bridges(t, "green")
		p := tn.pod(t, `[{"name":"green"}]`)
		p.add(t)
		eth0, green := p.index(t, "eth0"), p.index(t, greenDevice)
		expectError(t, p.addError(t), 104, "eth0", greenDevice)
		if p.index(t, "eth0") != eth0 || p.index(t, greenDevice) != green {
			t.Error("a device is another")
		}
		tn.expectLeases(t, "green", 1)
		tn.expectLeases(t, defaultNet, 1)
		p.expectLedger(t, "attached", "eth0", greenDevice)
		p.del(t)
		p.expectGone(t)
	})
	t.Run("the node's own namespace is no Pod's", func(t *testing.T) {
		tn := newTenant(t)
		p := tn.podWith(t, nil)
		c := p.runtime()
		c.netns = "/proc/self/ns/net"
		_, err := p.libcniAdd(t, p.conf, c)
		expectError(t, cniError(t, err), 8, "CNI_NETNS")
		p.expectUntouched(t)
	})
}
