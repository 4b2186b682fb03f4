package e2e

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
)

// rounds is how often verbs are started at once whose order is left to chance.
func rounds() int {
	if *fullCampaign {
		return 50
	}
	return 3
}

func TestFaultRuntimeAddDuringHotAdd(t *testing.T) {
	t.Parallel()
	f := fault{name: "ADD while a hot ADD of the same Pod runs; then DEL and ADD"}
	f.try(t, "waits, and leaves what the hot ADD made", func(t *testing.T) time.Duration {
		tn := newCampaignTenant(t)
		g := tn.gate(t, "slow", "ADD")
		tn.network(t, "slow", "{"+tn.gatedBridge(t, "slow")+"}")
		p := tn.asking(t, two...)
		hot := p.start(t, "ADD", p.agentConf(), p.agent("slow", ""))
		g.await(t)
		begin := time.Now()
		add := podAdd.start(t, p)
		add.waitsForLock(t)
		g.open(t)
		_, err := hot.wait(t)
		succeed(t, err)
		_, err = add.wait(t)
		expectError(t, cniError(t, err), 104, slowDevice)
		p.expectDevices(t, slowDevice)
		p.expectLedger(t, "attached", slowDevice)
		p.del(t)
		p.expectClean(t)
		p.add(t)
		p.expectWhole(t, two...)
		took := time.Since(begin)
		p.del(t)
		p.expectClean(t)
		return took
	})
	f.report(t)
}

func TestFaultRuntimeAtOnce(t *testing.T) {
	t.Parallel()
	tn := newCampaignTenant(t)
	hotAndDel := fault{name: "hot ADD and DEL at once; then DEL"}
	twice := fault{name: "DEL twice at once"}
	for round := range rounds() {
		name := fmt.Sprint("round ", round)
		hotAndDel.try(t, name, func(t *testing.T) time.Duration {
			p := hotAdd.begin(t, tn)
			begin := time.Now()
			allAtOnce(t, p, hotAdd, podDel)
			if p.known() { // the hot ADD was the last
				p.expectDevices(t, dataDevice)
				p.expectLedger(t, "attached", dataDevice)
				p.expectFiles(t, p.id+".json")
				tn.expectLeases(t, "data", 1)
			} else {
				p.expectClean(t)
			}
			return podDel.endAgain(t, p, begin)
		})
		twice.try(t, name, func(t *testing.T) time.Duration {
			p := podDel.begin(t, tn)
			begin := time.Now()
			allAtOnce(t, p, podDel, podDel)
			p.expectClean(t)
			return podDel.endAgain(t, p, begin)
		})
	}
	hotAndDel.report(t)
	twice.report(t)
}

// allAtOnce starts the verbs, and all must succeed.
func allAtOnce(t *testing.T, p *pod, verbs ...podVerb) {
	t.Helper()
	var all []*running
	for _, v := range verbs {
		all = append(all, v.start(t, p))
	}
	for _, r := range all {
		if _, err := r.wait(t); err != nil {
			t.Error(err)
		}
	}
}

func (v podVerb) endAgain(t *testing.T, p *pod, begin time.Time) time.Duration {
	t.Helper()
	v.do(t, p)
	return v.end(t, p, begin)
}

func TestFaultRuntimeHotAddsAtOnce(t *testing.T) {
	t.Parallel()
	const n = 50
	f := fault{name: fmt.Sprintf("%d hot ADDs of one Pod at once", n)}
	tn := newCampaignTenant(t)
	var names []string
	for i := range n {
		name := fmt.Sprintf("hot%d", i)
		tn.network(t, name, "{"+tn.bridge(t, "hot")+"}")
		names = append(names, name)
	}
	f.try(t, "all succeed", func(t *testing.T) time.Duration {
		p := tn.attached(t)
		begin := time.Now()
		var all []*running
		for _, name := range names {
			all = append(all, p.start(t, "ADD", p.agentConf(), p.agent(name, "")))
		}
		for i, r := range all {
			p.keepAsking(t, r, names[i])
		}
		p.expectWhole(t, names...)
		return podDel.endAgain(t, p, begin)
	})
	f.tried = n
	f.report(t)
}

// keepAsking waits for a hot ADD, which may have to try again where others had the lock for too long.
func (p *pod) keepAsking(t *testing.T, r *running, network string) {
	t.Helper()
	for {
		_, err := r.wait(t)
		var e *types.Error
		if !errors.As(err, &e) || e.Code != types.ErrTryAgainLater {
			succeed(t, err)
			return
		}
		r = p.start(t, "ADD", p.agentConf(), p.agent(network, ""))
	}
}

func TestFaultRuntimeLockIsNotToBeHad(t *testing.T) {
	t.Parallel()
	f := fault{name: "a verb while another on the same Pod does not end"}
	tn := newCampaignTenant(t)
	g := tn.gate(t, "slow", "ADD")
	tn.network(t, "slow", "{"+tn.gatedBridge(t, "slow")+"}")
	p := tn.pod(t, `[{"name":"green"},{"name":"slow"}]`)
	add := podAdd.start(t, p)
	g.await(t)
	waiting := map[string]*running{} // all at once, as the time that they wait is long
	begin := time.Now()
	for name, v := range podVerbs {
		waiting[name] = v.start(t, p)
	}
	for name, r := range waiting {
		f.try(t, name, func(t *testing.T) time.Duration {
			_, err := r.wait(t)
			expectError(t, cniError(t, err), types.ErrTryAgainLater, "another verb", p.id)
			p.expectLedger(t, "planned", "eth0", greenDevice, slowDevice)
			return time.Since(begin)
		})
	}
	g.open(t)
	_, err := add.wait(t)
	succeed(t, err)
	p.expectWhole(t, "green", "slow")
	p.del(t)
	p.expectClean(t)
	f.report(t)
}
