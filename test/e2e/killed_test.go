package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// gated has a Pod with the network green, and slow, whose delegate is a gate for that verb.
func gated(t *testing.T, verb string) (*pod, gate) {
	t.Helper()
	tn := newTenant(t)
	g := tn.gate(t, "slow", verb)
	tn.bridges(t, "green", "blue")
	tn.network(t, "slow", "{"+tn.gatedBridge(t, "slow")+"}")
	return tn.pod(t, `[{"name":"green"},{"name":"slow"}]`), g
}

// gatedBridge is bridge, by the gate of that name.
func (tn *tenant) gatedBridge(t *testing.T, gate string) string {
	t.Helper()
	return strings.Replace(tn.bridge(t, gate), `"bridge"`, `"`+gate+`"`, 1)
}

// locked says whether somebody has the container's lock.
func (p *pod) locked(t *testing.T) bool {
	t.Helper()
	file, err := os.Open(filepath.Join(p.conf.CNIDir, p.id+".lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil
}

var slowDevice = deviceName("slow")

func TestKilled(t *testing.T) {
	t.Parallel()
	t.Run("by SIGKILL in the middle of an ADD, it leaves what a DEL undoes", func(t *testing.T) {
		p, g := gated(t, "ADD")
		add := p.start(t, "ADD", p.conf, p.runtime())
		g.await(t)
		p.expectLedger(t, "planned", "eth0", greenDevice, slowDevice)
		add.signal(t, syscall.SIGKILL)
		<-add.exited
		if !p.locked(t) {
			t.Error("the delegate that lives on has not kept the container's lock")
		}

		del := p.start(t, "DEL", p.conf, p.runtime())
		del.waitsForLock(t)
		g.open(t)
		if _, err := del.wait(t); err != nil {
			t.Errorf("DEL: %v", err)
		}
		p.expectGone(t)
	})
	t.Run("by SIGKILL in the middle of a hot ADD, it leaves what the next hot ADD makes whole", func(t *testing.T) {
		p, g := gated(t, "ADD")
		patch(t, podsPath(p.namespace)+"/"+p.name, `{"metadata": {"annotations": {"networks": "[]"}}}`)
		p.add(t)
		eth0 := p.index(t, "eth0")
		first := p.start(t, "ADD", p.agentConf(), p.agent("slow", ""))
		g.await(t)
		first.signal(t, syscall.SIGKILL)
		<-first.exited
		g.open(t)

		second := p.start(t, "ADD", p.agentConf(), p.agent("slow", ""))
		g.await(t)
		g.open(t)
		if _, err := second.wait(t); err != nil {
			t.Fatalf("hot ADD: %v", err)
		}
		p.expectDevices(t, "eth0", slowDevice)
		p.expectLedger(t, "attached", "eth0", slowDevice)
		expectSame(t, "leases of slow", p.leases(t, "slow"), []string{p.addr(t, slowDevice)})
		if p.index(t, "eth0") != eth0 {
			t.Error("eth0 is another device")
		}
		p.del(t)
		p.expectGone(t)
	})
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run("by "+s.String()+" in the middle of an ADD, it rolls back", func(t *testing.T) {
			p, g := gated(t, "ADD")
			add := p.start(t, "ADD", p.conf, p.runtime())
			g.await(t)
			add.signal(t, s)
			if _, err := add.wait(t); err == nil {
				t.Error("the ADD succeeds")
			}
			p.expectGone(t)
			p.del(t)
		})
	}
}

func TestKilledInADel(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		t.Run("by "+s.String()+", it leaves what the next DEL undoes", func(t *testing.T) {
			p, g := gated(t, "DEL")
			p.add(t)
			del := p.start(t, "DEL", p.conf, p.runtime())
			g.await(t)
			del.signal(t, s)
			<-del.exited
			if _, held := p.record(t).find(slowDevice); !held || del.cmd.ProcessState.Success() {
				t.Error("the network is forgotten that is not undone")
			}
			if s == syscall.SIGKILL {
				g.open(t) // the delegate lives on
			}
			again := p.start(t, "DEL", p.conf, p.runtime())
			g.await(t)
			g.open(t)
			if _, err := again.wait(t); err != nil {
				t.Errorf("DEL: %v", err)
			}
			p.expectGone(t)
		})
	}
}

func TestVerbsOfOnePodAreSerialised(t *testing.T) {
	t.Parallel()
	t.Run("a hot ADD waits for the Pod's ADD", func(t *testing.T) {
		p, g := gated(t, "ADD")
		add := p.start(t, "ADD", p.conf, p.runtime())
		g.await(t)
		hot := p.start(t, "ADD", p.agentConf(), p.agent("blue", ""))
		hot.waitsForLock(t)
		if _, ok := links(t, p.netns)[blueDevice]; ok || hot.ended() {
			t.Error("the hot ADD does not wait")
		}
		g.open(t)
		for _, r := range []*running{add, hot} {
			if _, err := r.wait(t); err != nil {
				t.Error(err)
			}
		}
		p.expectDevices(t, "eth0", greenDevice, slowDevice, blueDevice)
		p.expectLedger(t, "attached", "eth0", greenDevice, slowDevice, blueDevice)
		p.del(t)
		p.expectGone(t)
	})
	t.Run("a DEL waits for the Pod's ADD", func(t *testing.T) {
		p, g := gated(t, "ADD")
		add := p.start(t, "ADD", p.conf, p.runtime())
		g.await(t)
		del := p.start(t, "DEL", p.conf, p.runtime())
		del.waitsForLock(t)
		g.open(t)
		for _, r := range []*running{add, del} {
			if _, err := r.wait(t); err != nil {
				t.Error(err)
			}
		}
		p.expectGone(t)
	})
	t.Run("the verbs of another Pod do not wait", func(t *testing.T) {
		p, g := gated(t, "ADD")
		add := p.start(t, "ADD", p.conf, p.runtime())
		g.await(t)
		other := p.tenant.pod(t, `[{"name":"green"}]`)
		other.add(t)
		other.expectDevices(t, "eth0", greenDevice)
		other.del(t)
		if add.ended() {
			t.Error("the first Pod's ADD ended before its delegate")
		}
		g.open(t)
		if _, err := add.wait(t); err != nil {
			t.Error(err)
		}
		p.del(t)
		p.expectGone(t)
	})
}
