package agent

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	nettypes "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

const (
	ofDefault = "pod-net eth0"
	ofGreen   = "tenant/green net9f27410725ab"
	ofData    = "tenant/data net8d777f385d3d"

	ofOther = `{"name": "x/y", "interface": "ext0"}`
)

// writeStatus changes the annotation network-status as another writer does.
func (n *fakeNode) writeStatus(change func(value string) string) {
	n.change(func(pod *kube.WatchedPod) {
		pod.Annotations[nettypes.NetworkStatusAnnot] = change(pod.Annotations[nettypes.NetworkStatusAnnot])
	})
}

// withOther adds an entry of another writer.
func withOther(value string) string {
	if value == "" {
		return "[" + ofOther + "]"
	}
	return strings.TrimSuffix(value, "]") + ", " + ofOther + "]"
}

func TestAgent_WritesTheNetworkStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, `[{"name": "green"}]`, "green")
		n.start()
		synctest.Wait()
		expect(t, "at the start", n.networks(), ofDefault+", "+ofGreen)
		if got := n.patched(); got != 1 {
			t.Errorf("%d requests; want one, for the condition too", got)
		}
		n.annotate(both)
		synctest.Wait()
		expect(t, "after a hot ADD", n.networks(), ofDefault+", "+ofGreen+", "+ofData)
		if got := n.patched(); got != 1 {
			t.Errorf("%d requests; want one, for the condition too", got)
		}
		n.annotate(`[{"name": "data"}]`)
		synctest.Wait()
		expect(t, "after a hot DEL", n.networks(), ofDefault+", "+ofData)
		n.patched()
		n.agent.Changed("tenant", "app1")
		time.Sleep(10 * n.agent.RepairEvery)
		synctest.Wait()
		if got := n.patched(); got != 0 {
			t.Errorf("%d requests, with nothing to tell", got)
		}
	})
}

func TestAgent_NetworkStatusWithoutAnAnnotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, "")
		delete(n.pod.Annotations, network.Annotation)
		n.start()
		synctest.Wait()
		expect(t, "network-status", n.networks(), ofDefault)
	})
}

func TestAgent_NoNetworkStatus(t *testing.T) {
	for name, change := range map[string]func(*fakeNode){
		"of a Pod that uses the node's network":  func(n *fakeNode) { n.pod.Spec.HostNetwork = true },
		"of a Pod that the ledger does not know": func(n *fakeNode) { n.pod.UID = "uid-2" },
		"of a Pod that has ended":                func(n *fakeNode) { n.pod.Status.Phase = "Failed" },
		"while the Pod's ADD runs": func(n *fakeNode) {
			n.records["sandbox"].Attachments[0].State = ledger.Planned
		},
		"of a Pod whose network namespace has ended":   func(n *fakeNode) { n.ended = true },
		"of a Pod on which another operation is going": func(n *fakeNode) { n.busy = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, both, "green")
				change(n)
				n.start()
				time.Sleep(unknownGrace + time.Second)
				synctest.Wait()
				if got, ok := n.pod.Annotations[nettypes.NetworkStatusAnnot]; ok {
					t.Errorf("got %s", got)
				}
			})
		})
	}
}

func TestAgent_NetworkStatusOfABrokenAnnotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, `[{"nam": "data"}]`, "green")
		n.start()
		synctest.Wait()
		expect(t, "network-status", n.networks(), ofDefault+", "+ofGreen)
	})
}

func TestAgent_NetworkStatusOfALostInterface(t *testing.T) {
	lose := func(t *testing.T, repair bool) *fakeNode {
		n := newNode(t, `[{"name": "green"}]`, "green")
		n.agent.Repair = repair
		n.start()
		synctest.Wait()
		n.mu.Lock()
		n.missing = []string{network.DeviceName("green")}
		n.mu.Unlock()
		return n
	}
	t.Run("that is repaired", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := lose(t, true)
			n.mu.Lock()
			n.fail = func(Call) error { return errors.New("no such uplink") }
			n.mu.Unlock()
			n.agent.Changed("tenant", "app1")
			synctest.Wait()
			expect(t, "meanwhile", n.networks(), ofDefault)
			n.mu.Lock()
			n.fail = nil
			n.mu.Unlock()
			time.Sleep(time.Minute)
			synctest.Wait()
			expect(t, "then", n.networks(), ofDefault+", "+ofGreen)
		})
	})
	t.Run("that is only reported", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := lose(t, false)
			n.agent.Changed("tenant", "app1")
			synctest.Wait()
			expect(t, "network-status", n.networks(), ofDefault)
		})
	})
}

func TestAgent_AStepThatLastsIsInTheNetworkStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, `[{"name": "green"}]`, "green")
		n.start()
		synctest.Wait()
		n.fail = func(c Call) error {
			if c.Command == "ADD" {
				time.Sleep(time.Minute)
			}
			return nil
		}
		n.annotate(`[{"name": "data"}]`)
		time.Sleep(attachingGrace + time.Second)
		synctest.Wait()
		expect(t, "while a hot ADD hangs, after a hot DEL", n.networks(), ofDefault)
		time.Sleep(time.Minute)
		synctest.Wait()
		expect(t, "then", n.networks(), ofDefault+", "+ofData)
	})
}

func TestAgent_KeepsWhatOthersWriteInTheNetworkStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, `[{"name": "green"}]`, "green")
		n.start()
		synctest.Wait()
		n.writeStatus(withOther)
		n.annotate(both)
		synctest.Wait()
		expect(t, "after a hot ADD", n.networks(), ofDefault+", "+ofGreen+", "+ofData+", x/y ext0")
		n.annotate(`[]`)
		synctest.Wait()
		expect(t, "after hot DELs", n.networks(), ofDefault+", x/y ext0")
		n.writeStatus(func(string) string { return "[" + ofOther + "]" })
		synctest.Wait()
		expect(t, "after the removal of kactus's", n.networks(), ofDefault+", x/y ext0")
	})
}

func TestAgent_NetworkStatusIsNotWrittenOverANewerOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, `[{"name": "green"}]`, "green")
		conflicts := 3
		n.refuse = func(kube.StatusPatch) error { // the apiserver has another writer's, which the watch has not told
			if conflicts == 0 {
				return nil
			}
			conflicts--
			n.pod = *n.pod.DeepCopyObject().(*kube.WatchedPod)
			n.pod.ResourceVersion += "1"
			n.pod.Annotations[nettypes.NetworkStatusAnnot] = withOther(n.pod.Annotations[nettypes.NetworkStatusAnnot])
			go n.agent.Changed("tenant", "app1")
			return nil
		}
		start := time.Now()
		n.start()
		synctest.Wait()
		expect(t, "network-status", n.networks(), ofDefault+", "+ofGreen+", x/y ext0, x/y ext0, x/y ext0")
		for _, p := range n.patches {
			if p.Condition == nil || p.NetworkStatus == nil {
				t.Error("a request without the condition, or without the annotation")
			}
		}
		if got := n.patched(); got != 4 || time.Since(start) > 0 {
			t.Errorf("%d requests in %s; want one again at once after each conflict", got, time.Since(start))
		}
	})
}

// The reverse of a hot ADD, by hand, while there is no agent.
func TestAgent_RemovesWhatAnEarlierAgentWrote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		earlier := newNode(t, both, "green", "data")
		earlier.start()
		synctest.Wait()
		n := newNode(t, `[{"name": "green"}]`, "green")
		n.pod.Annotations[nettypes.NetworkStatusAnnot] =
			withOther(earlier.Pod("tenant", "app1").Annotations[nettypes.NetworkStatusAnnot])
		n.start()
		synctest.Wait()
		expect(t, "network-status", n.networks(), ofDefault+", "+ofGreen+", x/y ext0")
	})
}

func TestAgent_ANetworkStatusThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, `[{"name": "data"}]`)
		n.refuse = func(p kube.StatusPatch) error {
			if p.NetworkStatus == nil {
				return nil
			}
			return &kube.Error{Doing: "PATCH", Status: 403, Cause: errors.New("forbidden")}
		}
		n.start()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		expect(t, "steps", n.took(), "ADD data")
		expect(t, "condition", n.condition(), "True Attached: 1 network is attached")
		if got := n.patched(); got < 10 || got > 20 {
			t.Errorf("%d requests in 5 minutes; want growing pauses, of at most %s", got, longestPause)
		}
		n.mu.Lock()
		n.refuse = nil
		n.mu.Unlock()
		time.Sleep(longestPause)
		synctest.Wait()
		expect(t, "network-status", n.networks(), ofDefault+", "+ofData)
		n.patched()
		n.annotate(both)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := n.patched(); got != 1 {
			t.Errorf("%d requests for the next change; want one, for the condition too", got)
		}
	})
}

func TestAgent_DoesNotFightForTheNetworkStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, `[{"name": "green"}]`, "green")
		n.start()
		const seconds = 120
		for range seconds * 10 { // another writer removes what the agent writes
			time.Sleep(100 * time.Millisecond)
			n.writeStatus(func(string) string { return "[]" })
			synctest.Wait()
		}
		if got := n.patched(); got < 5 || got > 12 {
			t.Errorf("%d requests in %d s; want growing pauses", got, seconds)
		}
		n.annotate(both)
		synctest.Wait()
		expect(t, "at once, after an edit", n.networks(), ofDefault+", "+ofGreen+", "+ofData)
	})
}

func TestAgent_OnceWritesTheNetworkStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, both, "green")
		n.agent.Plan()
		if got := n.patched(); got != 0 {
			t.Errorf("%d requests for a plan", got)
		}
		if err := n.agent.Once(t.Context()); err != nil {
			t.Error(err)
		}
		expect(t, "network-status", n.networks(), ofDefault+", "+ofGreen+", "+ofData)
	})
}
