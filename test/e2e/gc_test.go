package e2e

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
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
