package e2e

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

func TestAgent_NetworkCreatedLater(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	tn.StartNodeAgent(t)
	p := newRunningPod(t, tn, noAnnotation)
	p.Annotate(t, `[{"name":"data"},{"name":"green"}]`)
	p.EventuallyAttached(t, "eth0", green)
	c := p.EventuallyCondition(t, "False", "FailedAddingInterface")
	expectWords(t, c.Message, "data", data, "not found")
	tn.CreateBridgeNetworks(t, "data")
	p.EventuallyAttached(t, "eth0", green, data)
	p.EventuallyCondition(t, "True", "Attached")
	p.Del(t)
	p.ExpectGone(t)
}

// addFlaky adds the delegate flaky, which is the bridge plugin, except that its first operations of
// one kind fail, that many.
func addFlaky(t *testing.T, tn *kactustest.Tenant, operation string, failures int) {
	t.Helper()
	count := filepath.Join(tn.Dir, "count")
	tn.AddScript(t, "flaky", fmt.Sprintf(`
if [ "$CNI_COMMAND" = %[1]s ] && [ "$(cat %[2]s 2>/dev/null | wc -l)" -lt %[3]d ]; then
	echo >>%[2]s
	echo '{"code": 77, "msg": "fails on purpose"}'
	exit 1
fi
exec %[4]s/bridge
`, operation, count, failures, kactustest.PluginDir()))
	tn.CreateNetwork(t, "flaky", "{"+tn.BridgeConfigFor(t, "flaky", "flaky")+"}")
}

// Ten failures, which take minutes, are in test/system, and in pkg/agent with a clock of its own.
func TestAgent_DelegateFailsForAWhile(t *testing.T) {
	t.Parallel()
	const failures = 3
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	addFlaky(t, tn, "ADD", failures)
	address := fmt.Sprintf("127.0.0.1:%d", 20000+tn.Number)
	tn.StartNodeAgent(t, "-listen", address)
	p := newRunningPod(t, tn, noAnnotation)
	flaky := kactustest.IfName("flaky")
	p.Annotate(t, `[{"name":"flaky"},{"name":"green"}]`)
	p.EventuallyAttached(t, "eth0", green) // meanwhile
	c := p.EventuallyCondition(t, "False", "FailedAddingInterface")
	expectWords(t, c.Message, "flaky", flaky, "fails on purpose")
	p.Annotate(t, `[{"name":"flaky"}]`)
	p.EventuallyAttached(t, "eth0", flaky) // removed meanwhile, or before
	p.EventuallyCondition(t, "True", "Attached")
	eventuallyMetrics(t, address,
		fmt.Sprintf(`kactus_agent_operations_total{operation="ADD",result="error"} %d`, failures),
		`kactus_agent_pods_differing 0`)
	kactustest.Eventually(t, "one event has all failures", func() bool {
		return p.EventuallyEvent(t, "FailedAddingInterface", "flaky", "fails on purpose").Series.Count == failures
	})
	p.EventuallyEvent(t, "AddedInterface", "flaky")
	p.Del(t)
	p.ExpectGone(t)
}

func TestAgent_DelegateFailsToDel(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	addFlaky(t, tn, "DEL", 1)
	tn.StartNodeAgent(t)
	p := newRunningPod(t, tn, `[{"name":"flaky"}]`)
	p.Annotate(t, `[{"name":"green"}]`)
	failed := p.EventuallyEvent(t, "FailedRemovingInterface", "flaky", "fails on purpose")
	if failed.Type != "Warning" || failed.Action != "RemoveInterface" {
		t.Errorf("event: %+v", failed)
	}
	p.EventuallyAttached(t, "eth0", green)
	p.EventuallyCondition(t, "True", "Attached")
	p.Del(t)
	p.ExpectGone(t)
}

// A DEL of the whole Pod that failed leaves the default network in the record, which must not look
// like a Pod that runs without the others.
func TestAgent_LeavesAPodAloneWhoseDelFailed(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	addFlaky(t, tn, "DEL", 1)
	tn.SetDelegates(`{"masterPlugin": true, ` + tn.BridgeConfigFor(t, "flaky", "eth") + `}`)
	tn.CreateBridgeNetworks(t, "green", "data")
	tn.StartNodeAgent(t)
	p, other := newRunningPod(t, tn, `[{"name":"green"}]`), newRunningPod(t, tn, noAnnotation)
	p.EventuallyCondition(t, "True", "Attached")
	if err := p.DelWith(t, p.Conf, p.Runtime()); err == nil {
		t.Fatal("the DEL succeeds")
	}
	p.Annotate(t, `[{"name":"green"},{"name":"data"}]`)
	other.Annotate(t, `[{"name":"green"}]`)
	other.EventuallyAttached(t, "eth0", green)
	if events := p.Events(t); len(events) > 0 {
		t.Errorf("events: %+v", events)
	}
	other.Del(t)
	p.Del(t)
	p.ExpectGone(t)
}

func TestAgent_HostNetworkPod(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	p := tn.NewPodWith(t, map[string]string{"networks": `[{"name":"green"}]`}, map[string]any{"hostNetwork": true})
	tn.StartNodeAgent(t)
	c := p.EventuallyCondition(t, "False", "HostNetwork")
	expectWords(t, c.Message, "hostNetwork")
	p.EventuallyEvent(t, "FailedAddingInterface", "hostNetwork")
	p.Annotate(t, `[{"name":`)
	p.EventuallyCondition(t, "False", "InvalidAnnotation")
	p.Unannotate(t)
	p.EventuallyCondition(t, "True", "Attached")
	p.ExpectUntouched(t)
}

func TestAgent_Condition(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	tn.StartNodeAgent(t)
	gates := map[string]any{"readinessGates": []map[string]string{{"conditionType": "kaloom.com/NetworksAttached"}}}
	t.Run("is True for a Pod that waits for it, and asks for nothing", func(t *testing.T) {
		p := tn.NewPodWith(t, nil, gates)
		if c := p.NetworksAttached(t); c.Status != "" {
			t.Errorf("before the ADD: %+v", c)
		}
		p.Add(t)
		p.EventuallyCondition(t, "True", "Attached")
		p.Del(t)
	})
	t.Run("is not set for a Pod that does neither", func(t *testing.T) {
		p := newRunningPod(t, tn, noAnnotation)
		p.EventuallyNetworkStatus(t, "eth0")
		if c := p.NetworksAttached(t); c.Status != "" {
			t.Errorf("condition %+v", c)
		}
		p.Del(t)
		p.ExpectGone(t)
	})
}
