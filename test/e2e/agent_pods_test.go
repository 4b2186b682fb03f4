package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// often makes an agent look for what is lost again and again.
const often = "-repair-every=200ms"

func TestAgent_PodReplacedUnderItsName(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "blue", "data")
	tn.StartNodeAgent(t)
	networks := `[{"name":"green","ifMac":"` + tn.UniqueMAC(1) + `"}]`
	p := newRunningPod(t, tn, networks)
	p.Annotate(t, networks[:len(networks)-1]+`,{"name":"data"}]`)
	p.EventuallyAttached(t, "eth0", green, data)

	old := p.Replace(t, networks) // whose sandbox still lives
	before := old.Indices(t)
	p.Add(t)
	p.Annotate(t, `[{"name":"green","ifMac":"`+tn.UniqueMAC(1)+`"},{"name":"blue"}]`)
	p.EventuallyAttached(t, "eth0", green, blue)
	p.EventuallyCondition(t, "True", "Attached")
	if got := p.MAC(t, green); got != tn.UniqueMAC(1) {
		t.Errorf("MAC address %s; want %s", got, tn.UniqueMAC(1))
	}
	old.EventuallyAttached(t, "eth0", green, data)
	old.ExpectKept(t, before, "eth0", green, data)

	old.Del(t)
	p.EventuallyAttached(t, "eth0", green, blue)
	p.Del(t)
	p.ExpectGone(t)
}

func TestAgent_SandboxMadeAnew(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{true, false} {
		t.Run(fmt.Sprint("the old network namespace is gone: ", lost), func(t *testing.T) {
			tn := kactustest.NewTenant(t)
			tn.CreateBridgeNetworks(t, "green", "data")
			tn.StartNodeAgent(t)
			p := newRunningPod(t, tn, `[{"name":"green"}]`)
			p.EventuallyCondition(t, "True", "Attached")
			old := *p
			before := old.Indices(t)
			if lost {
				old.LoseNetns()
			}
			p.NewSandbox(t)
			p.Add(t)
			p.Annotate(t, `[{"name":"data"}]`)
			p.EventuallyAttached(t, "eth0", data)
			p.EventuallyCondition(t, "True", "Attached")
			if !lost {
				old.ExpectKept(t, before, "eth0", green)
			}
			old.Del(t)
			p.EventuallyAttached(t, "eth0", data)
			p.Del(t)
			p.ExpectGone(t)
		})
	}
}

func TestAgent_RepairsLostInterfaces(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "blue")
	tn.StartNodeAgent(t, often)
	p := newRunningPod(t, tn, `[{"name":"green","ifMac":"`+tn.UniqueMAC(1)+`"},{"name":"blue"}]`)
	p.EventuallyCondition(t, "True", "Attached")
	before := p.Indices(t)
	p.DeleteLink(t, green)
	p.EventuallyEvent(t, "AddedInterface", green, "interface lost")
	p.EventuallyAttached(t, "eth0", green, blue)
	p.ExpectKept(t, before, "eth0", blue)
	if got := p.MAC(t, green); got != tn.UniqueMAC(1) {
		t.Errorf("MAC address %s; want %s", got, tn.UniqueMAC(1))
	}
	tn.ExpectLeases(t, "green", 1)
	p.EventuallyCondition(t, "True", "Attached")
	p.Del(t)
	p.ExpectGone(t)
}

func TestAgent_ReportsLostInterfaces(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "data")
	tn.StartNodeAgent(t, often, "-repair=false")
	p := newRunningPod(t, tn, `[{"name":"green"}]`)
	p.EventuallyCondition(t, "True", "Attached")
	p.DeleteLink(t, green)
	c := p.EventuallyCondition(t, "False", "InterfaceLost")
	expectWords(t, c.Message, green)
	p.EventuallyEvent(t, "InterfaceLost", green)
	p.ExpectInterfaces(t, "eth0")
	t.Run("and goes on with other edits", func(t *testing.T) {
		p.Annotate(t, `[{"name":"green"},{"name":"data"}]`)
		kactustest.Eventually(t, "data is attached", func() bool { return p.Links(t)[data] != nil })
		p.Annotate(t, `[{"name":"data"}]`)
		p.EventuallyAttached(t, "eth0", data)
		p.EventuallyCondition(t, "True", "Attached")
	})
	p.Del(t)
	p.ExpectGone(t)
}

func TestAgent_ReclaimsWhatEnded(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "data")
	p, other := newRunningPod(t, tn, `[{"name":"green"}]`), newRunningPod(t, tn, `[{"name":"green"}]`)
	tn.StartNodeAgent(t, often)
	p.Annotate(t, `[{"name":"green"},{"name":"data"}]`)
	p.EventuallyAttached(t, "eth0", green, data)
	before := other.Indices(t)
	kactustest.Delete(t, kactustest.PodsPath(p.Namespace), p.Name)
	p.PretendReboot(t)
	p.LoseNetns()
	kactustest.Eventually(t, "the record is gone", func() bool { return !p.HasRecord() })
	tn.ExpectLeases(t, "green", 1)
	tn.ExpectLeases(t, "data", 0)
	other.EventuallyAttached(t, "eth0", green)
	other.ExpectKept(t, before, "eth0", green)
	other.Del(t)
	other.ExpectGone(t)
}

func TestAgent_TwoAtOnce(t *testing.T) {
	t.Parallel()
	const pods, edits = 4, 10
	tn := kactustest.NewTenant(t)
	all := []string{"green", "blue", "data"}
	tn.CreateBridgeNetworks(t, all...)
	tn.StartNodeAgent(t)
	tn.StartNodeAgent(t)
	var running []*kactustest.Pod
	for range pods {
		running = append(running, newRunningPod(t, tn, `[{"name":"green"}]`))
	}
	want := make([][]string, pods)
	for range edits {
		for i, p := range running {
			var selections []string
			want[i] = []string{"eth0"}
			for _, name := range all {
				if rand.IntN(2) == 0 {
					selections = append(selections, `{"name":"`+name+`"}`)
					want[i] = append(want[i], kactustest.IfName(name))
				}
			}
			p.Annotate(t, "["+strings.Join(selections, ",")+"]")
		}
	}
	leases := map[string]int{}
	for i, p := range running {
		p.EventuallyAttached(t, want[i]...)
		p.EventuallyCondition(t, "True", "Attached")
		for _, ifName := range want[i] {
			leases[ifName]++
		}
	}
	for _, name := range all {
		tn.ExpectLeases(t, name, leases[kactustest.IfName(name)])
	}
	for _, p := range running {
		p.Del(t)
	}
	for _, p := range running {
		p.ExpectGone(t)
	}
}

// Kaloom's podagent, for example.
func TestAgent_BesideAnother(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "blue", "data")
	tn.StartNodeAgent(t)
	p := newRunningPod(t, tn, `[{"name":"blue","podagentSkip":true}]`)
	p.HotDel(t, "blue")
	t.Run("what it attaches without the annotation is removed", func(t *testing.T) {
		p.HotAdd(t, "data")
		p.EventuallyAttached(t, "eth0")
		p.EventuallyEvent(t, "RemovedInterface", data)
	})
	t.Run("what it removes against the annotation is attached again", func(t *testing.T) {
		p.Annotate(t, `[{"name":"blue","podagentSkip":true},{"name":"green"}]`)
		p.EventuallyAttached(t, "eth0", green)
		before := p.Indices(t)[green]
		p.HotDel(t, "green")
		kactustest.Eventually(t, "green is there anew", func() bool {
			index := p.Indices(t)[green]
			return index != 0 && index != before
		})
		p.EventuallyAttached(t, "eth0", green)
	})
	t.Run("what it attaches of the annotation is left", func(t *testing.T) {
		p.HotAdd(t, "green")
		p.EventuallyAttached(t, "eth0", green)
	})
	t.Run("elements with podagentSkip are its own", func(t *testing.T) {
		p.HotAdd(t, "blue")
		before := p.Indices(t)
		p.Annotate(t, `[{"name":"blue","podagentSkip":true},{"name":"data"}]`)
		p.EventuallyAttached(t, "eth0", blue, data)
		p.ExpectKept(t, before, blue)
		p.HotDel(t, "blue")
		p.Annotate(t, `[{"name":"blue","podagentSkip":true},{"name":"green"}]`)
		p.EventuallyAttached(t, "eth0", green)
	})
	p.Del(t)
	p.ExpectGone(t)
}
