package faults

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// rounds returns how often to start operations at the same time whose order is left to chance.
func rounds() int {
	if *fullCampaign {
		return 50
	}
	return 3
}

func TestFault_RuntimeAddDuringHotAdd(t *testing.T) {
	t.Parallel()
	f := fault{name: "ADD while a hot ADD of the same Pod runs; then DEL and ADD"}
	f.try(t, "waits, and leaves what the hot ADD made", func(t *testing.T) time.Duration {
		tn := newCampaignTenant(t)
		g := tn.NewGate(t, "slow", "ADD")
		tn.CreateNetwork(t, "slow", "{"+tn.BridgeConfigFor(t, "slow", "slow")+"}")
		p := newPodFor(t, tn, two...)
		hot := p.Start(t, "ADD", p.AgentConf(), p.Agent("slow", ""))
		g.Await(t)
		begin := time.Now()
		add := podAdd.start(t, p)
		add.AwaitLock(t)
		g.Open(t)
		_, err := hot.Wait(t)
		kactustest.Must(t, err)
		_, err = add.Wait(t)
		kactustest.ExpectError(t, kactustest.CNIError(t, err), 104, kactustest.IfName("slow"))
		p.ExpectInterfaces(t, kactustest.IfName("slow"))
		p.ExpectLedger(t, "attached", kactustest.IfName("slow"))
		p.Del(t)
		expectClean(t, p)
		p.Add(t)
		expectAttached(t, p, two...)
		took := time.Since(begin)
		p.Del(t)
		expectClean(t, p)
		return took
	})
	f.report(t)
}

func TestFault_RuntimeHotAddAndDelAtOnce(t *testing.T) {
	t.Parallel()
	tn := newCampaignTenant(t)
	hotAndDel := fault{name: "hot ADD and DEL at once; then DEL"}
	twice := fault{name: "DEL twice at once"}
	for round := range rounds() {
		name := fmt.Sprint("round ", round)
		hotAndDel.try(t, name, func(t *testing.T) time.Duration {
			p := hotAdd.prepare(t, tn)
			begin := time.Now()
			hot := hotAdd.start(t, p)
			runAtOnce(t, p, podDel)
			if _, err := hot.Wait(t); err != nil {
				kactustest.ExpectError(t, kactustest.CNIError(t, err), 3, "had its DEL") // the hot ADD came last
			}
			expectClean(t, p)
			return podDel.repeat(t, p, begin)
		})
		twice.try(t, name, func(t *testing.T) time.Duration {
			p := podDel.prepare(t, tn)
			begin := time.Now()
			runAtOnce(t, p, podDel, podDel)
			expectClean(t, p)
			return podDel.repeat(t, p, begin)
		})
	}
	hotAndDel.report(t)
	twice.report(t)
}

// runAtOnce runs the operations at the same time. All must succeed.
func runAtOnce(t *testing.T, p *kactustest.Pod, operations ...operation) {
	t.Helper()
	var all []*kactustest.Process
	for _, v := range operations {
		all = append(all, v.start(t, p))
	}
	for _, r := range all {
		if _, err := r.Wait(t); err != nil {
			t.Error(err)
		}
	}
}

func (v operation) repeat(t *testing.T, p *kactustest.Pod, begin time.Time) time.Duration {
	t.Helper()
	v.run(t, p)
	return v.expectDone(t, p, begin)
}

func TestFault_RuntimeHotAddsAtOnce(t *testing.T) {
	t.Parallel()
	const n = 50
	f := fault{name: fmt.Sprintf("%d hot ADDs of one Pod at once", n)}
	tn := newCampaignTenant(t)
	var names []string
	for i := range n {
		name := fmt.Sprintf("hot%d", i)
		if i%2 == 0 {
			tn.CreateNetwork(t, name, "{"+tn.BridgeConfig(t, "hot")+"}")
			names = append(names, name)
		} else {
			names = append(names, "lan@"+name)
		}
	}
	f.try(t, "all succeed", func(t *testing.T) time.Duration {
		p := newAttachedPod(t, tn)
		begin := time.Now()
		var all []*kactustest.Process
		for _, name := range names {
			all = append(all, p.Start(t, "ADD", hotConf(p, name), hotCall(p, name)))
		}
		for i, r := range all {
			retryHotAdd(t, p, r, names[i])
		}
		expectAttached(t, p, names...)
		return podDel.repeat(t, p, begin)
	})
	f.tried = n
	f.report(t)
}

// retryHotAdd waits for the hot ADD of an element, as cut reads it, and repeats it if others held
// the lock for too long.
func retryHotAdd(t *testing.T, p *kactustest.Pod, r *kactustest.Process, element string) {
	t.Helper()
	for {
		_, err := r.Wait(t)
		var e *types.Error
		if !errors.As(err, &e) || e.Code != types.ErrTryAgainLater {
			kactustest.Must(t, err)
			return
		}
		r = p.Start(t, "ADD", hotConf(p, element), hotCall(p, element))
	}
}

func TestFault_RuntimeLockTimeout(t *testing.T) {
	t.Parallel()
	f := fault{name: "an operation while another on the same Pod does not end"}
	tn := newCampaignTenant(t)
	g := tn.NewGate(t, "slow", "ADD")
	tn.CreateNetwork(t, "slow", "{"+tn.BridgeConfigFor(t, "slow", "slow")+"}")
	p := tn.NewPod(t, `[{"name":"green"},{"name":"slow"}]`)
	add := podAdd.start(t, p)
	g.Await(t)
	waiting := map[string]*kactustest.Process{} // at the same time, because each waits for long
	begin := time.Now()
	for name, v := range operations {
		waiting[name] = v.start(t, p)
	}
	for name, r := range waiting {
		f.try(t, name, func(t *testing.T) time.Duration {
			_, err := r.Wait(t)
			kactustest.ExpectError(t, kactustest.CNIError(t, err), types.ErrTryAgainLater, "still running", p.ID)
			p.ExpectLedger(t, "planned", "eth0", kactustest.GreenIfName, kactustest.IfName("slow"))
			return time.Since(begin)
		})
	}
	g.Open(t)
	_, err := add.Wait(t)
	kactustest.Must(t, err)
	expectAttached(t, p, "green", "slow")
	p.Del(t)
	expectClean(t, p)
	f.report(t)
}
