package faults

import (
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// A killCampaign sends kactus a signal at each boundary of an operation, and then does what the
// runtime does next.
type killCampaign struct {
	operation
	fault string // the name of the row
	// few makes the short campaign try less: what differs is the Pod, and not the operation.
	few bool
	// newTenant makes the tenant. If nil, newCampaignTenant does.
	newTenant func(*testing.T) *kactustest.Tenant
	// signal chooses the signal for a boundary. If nil, it is SIGKILL.
	signal func(boundary) syscall.Signal
	// next does what the runtime does, and checks that everything is in order again. If nil, the
	// operation is repeated. The operation may have succeeded.
	next func(t *testing.T, p *kactustest.Pod, succeeded bool)
	// finally, if not nil, checks that the Pod can go on. The last step is always a DEL of the Pod.
	finally func(*testing.T, *kactustest.Pod)
}

var killCampaigns = []killCampaign{
	{
		operation: podAdd, fault: "SIGKILL at a system call of an ADD with three networks; then DEL",
		next: func(t *testing.T, p *kactustest.Pod, _ bool) {
			p.Del(t)
			expectClean(t, p)
		},
		finally: func(t *testing.T, p *kactustest.Pod) {
			p.Add(t)
			expectAttached(t, p, three...)
		},
	},
	{operation: podDel, fault: "SIGKILL at a system call of a DEL with three networks; then DEL again"},
	{
		operation: hotAdd, fault: "SIGKILL at a system call of a hot ADD of a third network; then hot ADD again",
		finally: func(t *testing.T, p *kactustest.Pod) {
			p.HotDel(t, "data")
			expectAttached(t, p, two...)
		},
	},
	{operation: hotDel, fault: "SIGKILL at a system call of a hot DEL of a third network; then hot DEL again"},
	{
		operation: npwgAdd, few: true, fault: "SIGKILL at a system call of an ADD as Multus's Pods have it; then DEL",
		next: func(t *testing.T, p *kactustest.Pod, _ bool) {
			p.Del(t)
			expectClean(t, p)
		},
		finally: func(t *testing.T, p *kactustest.Pod) {
			p.Add(t)
			expectAttached(t, p, npwgThree...)
		},
	},
	{
		operation: npwgHotAdd, few: true,
		fault: "SIGKILL at a system call of a hot ADD of a network that the Pod has twice; then hot ADD again",
	},
	{
		operation: npwgHotDel, few: true,
		fault: "SIGKILL at a system call of a hot DEL of a network that the Pod has twice more; then hot DEL again",
	},
	{
		operation: routeAdd, fault: "SIGKILL at a system call of a hot ADD with default-route; then hot ADD again",
		newTenant: newRoutedTenant,
		next: func(t *testing.T, p *kactustest.Pod, _ bool) {
			routeAdd.run(t, p)
			expectRouted(t, p, kactustest.DataIfName)
		},
		finally: func(t *testing.T, p *kactustest.Pod) {
			routeDel.run(t, p)
			expectRouted(t, p, "eth0")
		},
	},
	{
		operation: routeDel, fault: "SIGKILL at a system call of a hot DEL with default-route; then hot DEL again",
		newTenant: newRoutedTenant,
		next: func(t *testing.T, p *kactustest.Pod, _ bool) {
			expectSomeRoute(t, p)
			routeDel.run(t, p)
			expectRouted(t, p, "eth0")
		},
	},
}

func TestFault_Kill(t *testing.T) {
	t.Parallel()
	for _, k := range killCampaigns {
		t.Run(k.fault, func(t *testing.T) {
			t.Parallel()
			k.runAll(t)
		})
	}
}

// runAll tries every boundary, each in a run of its own; in the short campaign some of each kind.
func (k killCampaign) runAll(t *testing.T) {
	newTenant := k.newTenant
	if newTenant == nil {
		newTenant = newCampaignTenant
	}
	tn := newTenant(t)
	f := fault{name: k.fault}
	try := func(b boundary) (hit bool) {
		ok := t.Run(b.String(), func(t *testing.T) {
			var took time.Duration
			hit, took = k.try(t, tn, b)
			f.worst = max(f.worst, took)
		})
		if hit {
			f.tried++
		}
		if !ok {
			f.lost++
		}
		return hit
	}
	passed := k.count(t, tn)
	for _, kind := range slices.SortedFunc(maps.Keys(passed), byName) {
		k.tryKind(kind, passed[kind], try)
	}
	f.report(t)
}

func byName(a, b boundary) int { return strings.Compare(a.String(), b.String()) }

// tryKind tries all boundaries of a kind, until a run does not reach the next one. The short
// campaign tries the first and a middle one of those before a system call, and the last of those
// after one; or, if it is to try few, that middle one alone.
func (k killCampaign) tryKind(b boundary, has int, try func(boundary) bool) {
	if *fullCampaign {
		for b.nth = 1; try(b); b.nth++ {
		}
		return
	}
	some := []int{1, has/2 + 1}
	switch {
	case k.few && b.after:
		some = nil
	case k.few:
		some = some[1:]
	case b.after:
		some = []int{has}
	}
	for _, b.nth = range slices.Compact(some) {
		try(b)
	}
}

// count returns how many boundaries of each kind an undisturbed operation has.
func (k killCampaign) count(t *testing.T, tn *kactustest.Tenant) map[boundary]int {
	t.Helper()
	p := k.prepare(t, tn)
	passed := map[boundary]int{}
	if !k.follow(t, p, func(_ *os.Process, b boundary) { passed[b.ofKind()] = b.nth }) {
		t.Fatalf("an undisturbed %s fails", k.command)
	}
	expectNetworks(t, p, k.after)
	p.Del(t)
	return passed
}

// try sends the signal at that boundary, and reports whether the operation reached it and how long
// it then took until everything was in order.
func (k killCampaign) try(t *testing.T, tn *kactustest.Tenant, at boundary) (hit bool, took time.Duration) {
	p := k.prepare(t, tn)
	signal := syscall.SIGKILL
	if k.signal != nil {
		signal = k.signal(at)
	}
	var when time.Time
	succeeded := k.follow(t, p, func(kactus *os.Process, b boundary) {
		if b == at && !hit {
			hit, when = true, time.Now()
			kactustest.Must(t, kactus.Signal(signal))
		}
	})
	if k.next != nil {
		k.next(t, p, succeeded)
	} else {
		k.run(t, p)
		expectNetworks(t, p, k.after)
	}
	if hit {
		took = time.Since(when)
	}
	if k.finally != nil {
		k.finally(t, p)
	}
	p.Del(t)
	expectClean(t, p)
	return hit, took
}

// follow runs the operation and calls visit at each boundary.
func (k killCampaign) follow(t *testing.T, p *kactustest.Pod, visit func(*os.Process, boundary)) (succeeded bool) {
	t.Helper()
	cmd := kactustest.Command(kactustest.Encode(t, k.conf(p)), p.Environ(k.command, k.call(p))...)
	return follow(t, cmd, func(b boundary) { visit(cmd.Process, b) })
}
