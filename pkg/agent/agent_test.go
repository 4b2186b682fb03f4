package agent

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

const both = `[{"name": "green"}, {"name": "data"}]`

func TestAgent_FollowsTheAnnotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, `[{"name": "green"}]`, "green")
		n.start()
		synctest.Wait()
		expect(t, "at the start", n.took(), "")
		expect(t, "condition", n.condition(), "True Attached: 1 network is attached")
		n.annotate(both)
		synctest.Wait()
		expect(t, "an addition", n.took(), "ADD data")
		expect(t, "condition", n.condition(), "True Attached: 2 networks are attached")
		expect(t, "events", n.told(), "AddedInterface")
		n.annotate(`[{"name": "data", "ifMac": "0a:00:00:00:00:01"}]`)
		synctest.Wait()
		if got := n.took(); !strings.HasPrefix(got, "DEL data, DEL green, ADD data") {
			t.Errorf("a change and a removal: got %s", got)
		}
	})
}

func TestAgent_RepeatsWhatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, `[{"name": "broken"}, {"name": "data"}]`)
		var tries []time.Time
		n.fail = func(c Call) error {
			if c.IfName == network.DeviceName("data") || len(tries) == 12 {
				return nil
			}
			tries = append(tries, time.Now())
			return errors.New("no such uplink")
		}
		n.start()
		synctest.Wait()
		expect(t, "at first", n.took(), "ADD broken, ADD data")
		expect(t, "condition", n.condition(),
			"False FailedAddingInterface: network broken (net54ddc3c7d064): no such uplink")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		for i := 1; i < len(tries); i++ {
			pause, longest := tries[i].Sub(tries[i-1]), min(time.Second<<(i-1), 30*time.Second)
			if pause > longest || pause < longest*3/4 {
				t.Errorf("pause %d was %s; want up to a quarter less than %s", i, pause, longest)
			}
		}
		expect(t, "condition", n.condition(), "True Attached: 2 networks are attached")
		expect(t, "events", n.told(), "FailedAddingInterface, AddedInterface, AddedInterface")
		if last := n.series[len(n.series)-1]; last.Count != eachOf {
			t.Errorf("the series counts %d; want each of the first %d failures, and then one in %s", last.Count, eachOf,
				seldom)
		}
	})
}

func TestAgent_IsPatientWithLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, `[{"name": "data"}]`)
		n.fail = func(Call) error { return types.NewError(types.ErrTryAgainLater, "locked", "") }
		n.start()
		time.Sleep(patience * time.Second / 2)
		synctest.Wait()
		expect(t, "events", n.told(), "")
		expect(t, "condition", n.condition(),
			"False Attaching: still to do: hot ADD of the network data (net8d777f385d3d): added")
		time.Sleep(time.Minute)
		synctest.Wait()
		expect(t, "events", n.told(), "FailedAddingInterface")
	})
}

func TestAgent_AFailedDelHoldsUpItsAddAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, `[{"name": "green", "ifMac": "0a:00:00:00:00:01"}, {"name": "blue"}]`, "green", "data")
		n.fail = func(c Call) error {
			if c.Command == "DEL" && c.IfName == network.DeviceName("green") {
				return errors.New("busy device")
			}
			return nil
		}
		n.start()
		synctest.Wait()
		expect(t, "steps", n.took(), "DEL data, DEL green, ADD blue")
		expect(t, "events", n.told(), "RemovedInterface, FailedRemovingInterface, AddedInterface")
	})
}

func TestAgent_SuccessThatChangesNothingIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, `[{"name": "data"}]`)
		n.idle = true
		n.start()
		time.Sleep(time.Minute)
		synctest.Wait()
		if calls := strings.Count(n.took(), "ADD"); calls > 8 {
			t.Errorf("%d hot ADDs in a minute; want growing pauses", calls)
		}
		if c := n.condition(); !strings.HasPrefix(c, "False FailedAddingInterface") {
			t.Errorf("condition %s", c)
		}
	})
}

func TestAgent_DoesNotFight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, `[{"name": "data"}]`)
		n.start()
		const seconds = 120
		for range seconds { // another agent removes what this one attaches
			time.Sleep(time.Second)
			n.mu.Lock()
			r := n.records["sandbox"]
			r.Attachments = r.Attachments[:1]
			n.records["sandbox"] = r
			n.mu.Unlock()
			n.agent.Changed("tenant", "app1")
			synctest.Wait()
		}
		if calls := strings.Count(n.took(), "ADD"); calls < 5 || calls > 12 {
			t.Errorf("%d hot ADDs in %d s; want growing pauses", calls, seconds)
		}
		if c := n.condition(); !strings.Contains(c, "undone by something else") {
			t.Errorf("condition %s", c)
		}
		n.annotate(`[]`)
		synctest.Wait()
		n.annotate(`[{"name": "data"}]`)
		synctest.Wait()
		expect(t, "at once, after an edit", n.took(), "ADD data")
	})
}

func TestAgent_AStatusThatIsNotWrittenUndoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, `[{"name": "data"}]`)
		n.writeError = &kube.Error{Doing: "PATCH", Status: 503, Cause: errors.New("overloaded")}
		n.start()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		expect(t, "steps", n.took(), "ADD data")
		n.mu.Lock()
		n.writeError = nil
		n.mu.Unlock()
		time.Sleep(longestPause)
		synctest.Wait()
		expect(t, "condition", n.condition(), "True Attached: 1 network is attached")
		expect(t, "steps", n.took(), "")
	})
}

func TestAgent_NoNetworkWaitsForAStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, `[]`)
		n.writeTime = 10 * time.Second
		n.start()
		synctest.Wait()
		n.annotate(`[{"name": "data"}]`)
		synctest.Wait()
		expect(t, "steps, while the condition is being set", n.took(), "ADD data")
		time.Sleep(time.Minute)
		synctest.Wait()
		expect(t, "condition", n.condition(), "True Attached: 1 network is attached")
	})
}

func TestAgent_AStepThatLastsIsInTheCondition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, `[]`)
		n.start()
		synctest.Wait()
		n.fail = func(Call) error {
			time.Sleep(time.Minute)
			return nil
		}
		n.annotate(`[{"name": "data"}]`)
		time.Sleep(attachingGrace + time.Second)
		synctest.Wait()
		if c := n.condition(); !strings.HasPrefix(c, "False Attaching") {
			t.Errorf("condition %s, while a hot ADD hangs", c)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		expect(t, "condition", n.condition(), "True Attached: 1 network is attached")
	})
}

func TestAgent_TouchesNothing(t *testing.T) {
	tests := []struct {
		name      string
		change    func(n *fakeNode)
		condition string
	}{
		{"with an annotation that does not parse",
			func(n *fakeNode) { n.pod.Annotations[network.Annotation] = `[{"nam": "data"}]` },
			`False InvalidAnnotation: annotation networks: element 0: nam: unknown key`},
		{"of a Pod that uses the node's network", func(n *fakeNode) { n.pod.Spec.HostNetwork = true },
			"False HostNetwork: the Pod uses the node's network (hostNetwork), to which nothing is attached"},
		{"of a Pod that is being deleted", func(n *fakeNode) {
			deleted := metav1.Now()
			n.pod.DeletionTimestamp = &deleted
		}, ""},
		{"of a Pod that has ended", func(n *fakeNode) { n.pod.Status.Phase = "Succeeded" }, ""},
		{"of another Pod of the same name", func(n *fakeNode) { n.pod.UID = "uid-2" },
			"False UnknownPod: the ledger does not know the Pod, which something else than kactus started: " +
				"start it anew"},
		{"while the Pod's ADD runs", func(n *fakeNode) {
			r := n.records["sandbox"]
			r.Attachments[0].State = "planned"
		}, ""},
		{"while another operation runs", func(n *fakeNode) { n.busy = true }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, both, "blue")
				tt.change(n)
				n.start()
				time.Sleep(unknownGrace + time.Second)
				synctest.Wait()
				expect(t, "steps", n.took(), "")
				expect(t, "condition", n.condition(), tt.condition)
				if told := n.told(); (told != "") != (tt.condition != "") {
					t.Errorf("events %q", told)
				}
			})
		})
	}
}

// Another agent may know of an annotation that this one has not seen, and would undo what this one
// does without end.
func TestAgent_WaitsUntilItFollowsThePods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, both, "green", "data")
		n.start()
		synctest.Wait()
		n.agent.PodsFollowed(errors.New("connection refused"))
		n.mu.Lock()
		n.missing = []string{network.DeviceName("green")}
		n.mu.Unlock()
		n.agent.Changed("tenant", "app1")
		time.Sleep(time.Minute)
		synctest.Wait()
		expect(t, "steps without a watch", n.took(), "")
		n.agent.PodsFollowed(nil)
		time.Sleep(blindPause)
		synctest.Wait()
		expect(t, "steps with a watch", n.took(), "ADD green")
	})
}

func TestAgent_Repairs(t *testing.T) {
	lost := func(t *testing.T, repair bool) *fakeNode {
		n := newNode(t, `[{"name": "green"}]`, "green")
		n.agent.Repair = repair
		n.missing = []string{network.DeviceName("green")}
		n.start()
		synctest.Wait()
		return n
	}
	t.Run("an interface that is lost", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := lost(t, true)
			expect(t, "steps", n.took(), "ADD green")
			expect(t, "condition", n.condition(), "True Attached: 1 network is attached")
		})
	})
	t.Run("nothing, if told so, but reports it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := lost(t, false)
			expect(t, "steps", n.took(), "")
			expect(t, "condition", n.condition(), "False InterfaceLost: lost by the kernel: net9f27410725ab")
			expect(t, "events", n.told(), "InterfaceLost")
		})
	})
	t.Run("not the default network, which it reports", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, `[]`)
			n.missing = []string{"eth0"}
			n.start()
			synctest.Wait()
			expect(t, "steps", n.took(), "")
			expect(t, "condition", n.condition(), "False InterfaceLost: lost by the kernel: eth0")
		})
	})
}

func TestAgent_ReclaimsWhatEndedContainersLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, `[]`)
		n.start()
		looks := func() int {
			time.Sleep(n.agent.RepairEvery + time.Second)
			synctest.Wait()
			n.mu.Lock()
			defer n.mu.Unlock()
			return n.reclaimed
		}
		if got := looks(); got != 0 {
			t.Errorf("%d times, with nothing left", got)
		}
		n.mu.Lock()
		n.ended = true
		n.mu.Unlock()
		if got := looks(); got != 1 {
			t.Errorf("%d times, with a container that has ended", got)
		}
	})
}

func TestAgent_APodWithoutAnAnnotation(t *testing.T) {
	run := func(t *testing.T, gates ...kube.ReadinessGate) string {
		n := newNode(t, "")
		delete(n.pod.Annotations, network.Annotation)
		n.pod.Spec.ReadinessGates = gates
		n.start()
		synctest.Wait()
		return n.condition()
	}
	t.Run("gets no condition", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { expect(t, "condition", run(t), "") })
	})
	t.Run("gets one if it waits for it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			expect(t, "condition", run(t, kube.ReadinessGate{ConditionType: ConditionType}),
				"True Attached: no networks are requested")
		})
	})
}

func TestAgent_OnceAndPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, both, "green")
		expect(t, "plan", strings.Join(n.agent.Plan(), "; "),
			"tenant/app1: hot ADD of the network data (net8d777f385d3d): added")
		expect(t, "steps of a plan", n.took(), "")
		if err := n.agent.Once(t.Context()); err != nil {
			t.Error(err)
		}
		expect(t, "steps", n.took(), "ADD data")
	})
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, both, "green")
		n.fail = func(Call) error { return errors.New("no such uplink") }
		err := n.agent.Once(t.Context())
		const want = "tenant/app1: hot ADD of the network data (net8d777f385d3d): added: no such uplink"
		if err == nil || err.Error() != want {
			t.Errorf("got %v; want %s", err, want)
		}
	})
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q; want %q", what, got, want)
	}
}

func TestAgent_HealthSaysThatTheLedgerIsNotFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, `[{"name": "data"}]`)
		n.watchError = errors.New("too many open files")
		n.start()
		synctest.Wait()
		if err := n.agent.Health(); err == nil || !strings.Contains(err.Error(), "ledger: too many open files") {
			t.Errorf("got %v", err)
		}
		expect(t, "steps all the same", n.took(), "ADD data")
		n.mu.Lock()
		n.watchError = nil
		n.mu.Unlock()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if err := n.agent.Health(); err != nil {
			t.Errorf("followed again: %v", err)
		}
	})
}

func TestAgent_EndsThoughEventsAreNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, `[]`)
		n.eventTime = time.Minute
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			n.agent.Run(ctx)
			close(ended)
		}()
		for range 20 {
			n.annotate(`[{"name": "data"}]`)
			synctest.Wait()
			n.annotate(`[]`)
			synctest.Wait()
		}
		start := time.Now()
		cancel()
		<-ended
		if took := time.Since(start); took > 2*drainLimit {
			t.Errorf("the agent took %s to end", took)
		}
	})
}
