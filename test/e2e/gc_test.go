package e2e

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

// collectingTenant speaks version 1.1.0, and has the networks green and blue. Its bridge plugin, which is the real one but for that, keeps
// what a GC tells it.
func collectingTenant(t *testing.T) *tenant {
	t.Helper()
	tn := newTenant(t)
	tn.conf.CNIVersion = "1.1.0"
	tn.script(t, "bridge", `[ "$CNI_COMMAND" = GC ] || exec `+suite.plugins+`/bridge
stdin=$(cat)
name=${stdin##*'"name":"'}
printf %s "$stdin" >`+tn.dir+`/gc."${name%%'"'*}"
`)
	tn.bridges(t, "green", "blue")
	return tn
}

// expectTold: the delegate of that name was told to keep these attachments, as "container/device", and no others.
func (tn *tenant) expectTold(t *testing.T, name string, want ...string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(tn.dir, "gc."+name))
	if err != nil {
		t.Errorf("the delegate %s was not told: %v", name, err)
		return
	}
	var stdin types.NetConf
	succeed(t, json.Unmarshal(data, &stdin))
	var got []string
	for _, a := range stdin.ValidAttachments {
		got = append(got, a.ContainerID+"/"+a.IfName)
	}
	expectSame(t, "what "+name+" is to keep", got, want)
}

func TestGC(t *testing.T) {
	t.Parallel()
	t.Run("leaves the runtime's Pods, with their hot networks, and undoes the others", func(t *testing.T) {
		tn := collectingTenant(t)
		live, lost := tn.pod(t, `[{"name":"green"}]`), tn.pod(t, `[{"name":"green"}]`)
		for _, p := range []*pod{live, lost} {
			p.add(t)
			p.hotAdd(t, "blue")
		}
		loseNetns(t, lost.netns) // the node was started again
		forgetCache(t, tn)       // and the runtime's cache is lost, so that it deletes nothing by itself
		eth0, green, blue := live.index(t, "eth0"), live.index(t, greenDevice), live.index(t, blueDevice)
		succeed(t, tn.libcniGC(t, live))
		lost.expectNoRecord(t)
		live.expectLedger(t, "attached", "eth0", greenDevice, blueDevice)
		if live.index(t, "eth0") != eth0 || live.index(t, greenDevice) != green || live.index(t, blueDevice) != blue {
			t.Error("a device of the live Pod is another")
		}
		for network, device := range map[string]string{defaultNet: "eth0", "green": greenDevice, "blue": blueDevice} {
			expectSame(t, "leases of "+network, tn.leases(t, network), []string{live.addr(t, device)})
			tn.expectTold(t, network, live.id+"/"+device)
		}
		succeed(t, tn.libcniGC(t))
		live.expectGone(t)
		tn.expectTold(t, defaultNet)
	})
	t.Run("undoes what the ledger has of an ADD that was killed", func(t *testing.T) {
		p, g := gated(t, "ADD")
		p.conf.CNIVersion = "1.1.0"
		add := p.start(t, "ADD", p.conf, p.runtime())
		g.await(t)
		add.signal(t, syscall.SIGKILL)
		<-add.exited
		succeed(t, p.libcniGC(t)) // while its delegate lives on, nothing is touched
		p.expectLedger(t, "planned", "eth0", greenDevice, slowDevice)
		g.open(t)
		eventually(t, "the delegate ends", func() bool { return !p.locked(t) })
		succeed(t, p.libcniGC(t))
		p.expectGone(t)
	})
	t.Run("undoes an orphan when its plugin is there again", func(t *testing.T) {
		tn := collectingTenant(t)
		passing := "exec " + suite.plugins + "/macvlan\n"
		tn.script(t, "passing", passing)
		tn.network(t, "data", `{"type": "passing", "master": "`+node.Uplink+`", "ipam": `+tn.hostLocal(t)+`}`)
		p := tn.pod(t, `[{"name":"data"}]`)
		p.add(t)
		succeed(t, os.Remove(filepath.Join(tn.path[0], "passing")))
		p.del(t)
		tn.expectLeases(t, "data", 1)
		err := tn.libcniGC(t)
		expectError(t, libcniError(t, err), 102, "data", "passing")
		tn.script(t, "passing", passing)
		succeed(t, tn.libcniGC(t))
		p.expectGone(t)
	})
	t.Run("goes on past errors, and tells all of them", func(t *testing.T) {
		tn := collectingTenant(t)
		tn.script(t, "stuck", `[ "$CNI_COMMAND" = ADD ] && echo '{"cniVersion": "1.1.0"}' && exit 0
echo '{"code": 42, "msg": "stuck at '$CNI_COMMAND'"}'
exit 1
`)
		tn.network(t, "data", `{"type": "stuck"}`)
		p, q := tn.pod(t, `[{"name":"data"},{"name":"green"}]`), tn.pod(t, `[{"name":"blue"}]`)
		p.add(t)
		q.add(t)
		forgetCache(t, tn)
		expectError(t, libcniError(t, tn.libcniGC(t)), 102, "stuck at DEL", "stuck at GC", p.id)
		p.expectDevices(t)
		q.expectDevices(t)
		q.expectNoRecord(t)
		p.expectLedger(t, "attached", dataDevice)
		tn.script(t, "stuck", "exit 0\n")
		succeed(t, tn.libcniGC(t))
		p.expectGone(t)
	})
	t.Run("takes its delegates with it when it is killed, and holds no ADD up", func(t *testing.T) {
		tn := collectingTenant(t)
		running := fifo(t, filepath.Join(tn.dir, "running"))
		tn.script(t, "bridge", `[ "$CNI_COMMAND" = GC ] || exec `+suite.plugins+`/bridge
echo $$ >`+tn.dir+`/collector
echo >`+running.Name()+`
exec sleep 1000
`)
		var conf map[string]any
		succeed(t, json.Unmarshal(encode(t, tn.conf), &conf))
		conf["cni.dev/valid-attachments"] = []any{}
		p := tn.pod(t, `[{"name":"green"}]`)
		collection := p.start(t, "GC", conf, call{})
		gate{running: running}.await(t)
		add := p.start(t, "ADD", p.conf, p.runtime())
		add.waitsForLock(t)
		p.expectNoPlan(t)
		collection.signal(t, syscall.SIGKILL)
		<-collection.exited
		eventually(t, "the delegate ends", func() bool { return processEnded(t, filepath.Join(tn.dir, "collector")) })
		if _, err := add.wait(t); err != nil {
			t.Errorf("ADD: %v", err)
		}
		p.del(t)
		p.expectGone(t)
	})
	t.Run("tells no delegate to free anything where a live Pod's record does not read", func(t *testing.T) {
		tn := collectingTenant(t)
		p, q := tn.pod(t, `[{"name":"green"}]`), tn.pod(t, `[{"name":"green"}]`)
		p.add(t)
		q.add(t)
		record, err := os.ReadFile(q.recordPath())
		succeed(t, err)
		succeed(t, os.WriteFile(q.recordPath(), record[:20], 0o600))
		expectError(t, libcniError(t, tn.libcniGC(t, p, q)), 108, q.id)
		if _, err := os.Stat(filepath.Join(tn.dir, "gc.green")); !errors.Is(err, fs.ErrNotExist) {
			t.Error("a delegate was told")
		}
		tn.expectLeases(t, "green", 2)
		succeed(t, os.WriteFile(q.recordPath(), record, 0o600))
		p.del(t)
		q.del(t)
		p.expectGone(t)
	})
}

// expectNoPlan: nothing is planned for the Pod.
func (p *pod) expectNoPlan(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(p.recordPath()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a record: %v", err)
	}
}

// forgetCache makes the CNI library forget what it added.
func forgetCache(t *testing.T, tn *tenant) {
	t.Helper()
	succeed(t, os.RemoveAll(filepath.Join(tn.dir, "libcni")))
}

// libcniError is kactus's error in what the CNI library joins.
func libcniError(t *testing.T, err error) *types.Error {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "kactus") {
		t.Fatalf("error: %v; want one of kactus", err)
	}
	return cniError(t, err)
}
