package e2e

import (
	"syscall"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// newGatedPod returns a Pod with the networks green and slow, and the gate that is the delegate of
// slow and stops at that operation.
func newGatedPod(t *testing.T, operation string) (*kactustest.Pod, kactustest.Gate) {
	t.Helper()
	tn := kactustest.NewTenant(t)
	g := tn.NewGate(t, "slow", operation)
	tn.CreateBridgeNetworks(t, "green", "blue")
	tn.CreateNetwork(t, "slow", "{"+tn.BridgeConfigFor(t, "slow", "slow")+"}")
	return tn.NewPod(t, `[{"name":"green"},{"name":"slow"}]`), g
}

func TestAdd_Killed(t *testing.T) {
	t.Parallel()
	t.Run("SIGKILL in an ADD leaves what a DEL tears down", func(t *testing.T) {
		p, g := newGatedPod(t, "ADD")
		add := p.Start(t, "ADD", p.Conf, p.Runtime())
		g.Await(t)
		p.ExpectLedger(t, "planned", "eth0", kactustest.GreenIfName, kactustest.IfName("slow"))
		add.Signal(t, syscall.SIGKILL)
		<-add.Exited
		if !p.Locked() {
			t.Error("the delegate that still runs does not hold the lock")
		}

		del := p.Start(t, "DEL", p.Conf, p.Runtime())
		del.AwaitLock(t)
		g.Open(t)
		if _, err := del.Wait(t); err != nil {
			t.Errorf("DEL: %v", err)
		}
		p.ExpectGone(t)
	})
	t.Run("SIGKILL in a hot ADD leaves what the next one repairs", func(t *testing.T) {
		p, g := newGatedPod(t, "ADD")
		kactustest.Patch(t, kactustest.PodsPath(p.Namespace)+"/"+p.Name,
			`{"metadata": {"annotations": {"networks": "[]"}}}`)
		p.Add(t)
		eth0 := p.Index(t, "eth0")
		first := p.Start(t, "ADD", p.AgentConf(), p.Agent("slow", ""))
		g.Await(t)
		first.Signal(t, syscall.SIGKILL)
		<-first.Exited
		g.Open(t)

		second := p.Start(t, "ADD", p.AgentConf(), p.Agent("slow", ""))
		g.Await(t)
		g.Open(t)
		if _, err := second.Wait(t); err != nil {
			t.Fatalf("hot ADD: %v", err)
		}
		p.ExpectInterfaces(t, "eth0", kactustest.IfName("slow"))
		p.ExpectLedger(t, "attached", "eth0", kactustest.IfName("slow"))
		kactustest.ExpectSame(t, "leases of slow", p.Leases(t, "slow"), []string{p.Addr(t, kactustest.IfName("slow"))})
		if p.Index(t, "eth0") != eth0 {
			t.Error("eth0 was replaced")
		}
		p.Del(t)
		p.ExpectGone(t)
	})
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(s.String()+" in an ADD rolls back", func(t *testing.T) {
			p, g := newGatedPod(t, "ADD")
			add := p.Start(t, "ADD", p.Conf, p.Runtime())
			g.Await(t)
			add.Signal(t, s)
			if _, err := add.Wait(t); err == nil {
				t.Error("the ADD succeeded")
			}
			p.ExpectGone(t)
			p.Del(t)
		})
	}
}

func TestDel_Killed(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		t.Run(s.String()+" leaves what the next DEL tears down", func(t *testing.T) {
			p, g := newGatedPod(t, "DEL")
			p.Add(t)
			del := p.Start(t, "DEL", p.Conf, p.Runtime())
			g.Await(t)
			del.Signal(t, s)
			<-del.Exited
			if _, held := p.Record(t).Find(kactustest.IfName("slow")); !held || del.Cmd.ProcessState.Success() {
				t.Error("the ledger lost a network that is not torn down")
			}
			if s == syscall.SIGKILL {
				g.Open(t) // the delegate still runs
			}
			again := p.Start(t, "DEL", p.Conf, p.Runtime())
			g.Await(t)
			g.Open(t)
			if _, err := again.Wait(t); err != nil {
				t.Errorf("DEL: %v", err)
			}
			p.ExpectGone(t)
		})
	}
}

func TestOperations_OfOnePodSerialize(t *testing.T) {
	t.Parallel()
	t.Run("a hot ADD waits for the Pod's ADD", func(t *testing.T) {
		p, g := newGatedPod(t, "ADD")
		add := p.Start(t, "ADD", p.Conf, p.Runtime())
		g.Await(t)
		hot := p.Start(t, "ADD", p.AgentConf(), p.Agent("blue", ""))
		hot.AwaitLock(t)
		if _, ok := p.Links(t)[kactustest.BlueIfName]; ok || hot.Ended() {
			t.Error("the hot ADD does not wait")
		}
		g.Open(t)
		for _, r := range []*kactustest.Process{add, hot} {
			if _, err := r.Wait(t); err != nil {
				t.Error(err)
			}
		}
		p.ExpectInterfaces(t, "eth0", kactustest.GreenIfName, kactustest.IfName("slow"), kactustest.BlueIfName)
		p.ExpectLedger(t, "attached", "eth0", kactustest.GreenIfName, kactustest.IfName("slow"), kactustest.BlueIfName)
		p.Del(t)
		p.ExpectGone(t)
	})
	t.Run("a DEL waits for the Pod's ADD", func(t *testing.T) {
		p, g := newGatedPod(t, "ADD")
		add := p.Start(t, "ADD", p.Conf, p.Runtime())
		g.Await(t)
		del := p.Start(t, "DEL", p.Conf, p.Runtime())
		del.AwaitLock(t)
		g.Open(t)
		for _, r := range []*kactustest.Process{add, del} {
			if _, err := r.Wait(t); err != nil {
				t.Error(err)
			}
		}
		p.ExpectGone(t)
	})
	t.Run("operations on another Pod do not wait", func(t *testing.T) {
		p, g := newGatedPod(t, "ADD")
		add := p.Start(t, "ADD", p.Conf, p.Runtime())
		g.Await(t)
		other := p.Tenant.NewPod(t, `[{"name":"green"}]`)
		other.Add(t)
		other.ExpectInterfaces(t, "eth0", kactustest.GreenIfName)
		other.Del(t)
		if add.Ended() {
			t.Error("the first Pod's ADD ended before its delegate")
		}
		g.Open(t)
		if _, err := add.Wait(t); err != nil {
			t.Error(err)
		}
		p.Del(t)
		p.ExpectGone(t)
	})
}
