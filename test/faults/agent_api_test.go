package faults

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// agentFaults are what goes wrong with the requests of kactus agent, and of the kactus that it
// executes.
func agentFaults() []apiFault {
	var faults []apiFault
	for _, f := range apiFaults() {
		if !strings.Contains(f.name, "middle of an answer") && !strings.Contains(f.name, "a byte a second") {
			faults = append(faults, f) // the two record an answer first, and a watch has no end
		}
	}
	return append(faults,
		apiFault{name: "the apiserver answers 410 to each watch", answer: goneWatch, path: "/pods"},
		apiFault{name: "the apiserver ends each watch with 410", answer: endWatch, path: "/pods"},
		apiFault{name: "the apiserver resets each watch", answer: resetWatch, path: "/pods"},
		apiFault{name: slowAPI, answer: delayed},
	)
}

const slowAPI = "the apiserver answers each request after half a second"

func isWatch(r *http.Request) bool { return r.URL.Query().Get("watch") != "" }

func goneWatch(w http.ResponseWriter, r *http.Request, apiserver http.Handler) {
	if !isWatch(r) {
		apiserver.ServeHTTP(w, r)
		return
	}
	status(http.StatusGone)(w, r, apiserver)
}

func endWatch(w http.ResponseWriter, r *http.Request, apiserver http.Handler) {
	if !isWatch(r) {
		apiserver.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintln(w, `{"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "status": "Failure",
		"reason": "Expired", "code": 410, "message": "too old resource version"}}`)
}

func resetWatch(w http.ResponseWriter, r *http.Request, apiserver http.Handler) {
	if !isWatch(r) {
		apiserver.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, `{"type": "ADDED", "obj`)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func delayed(w http.ResponseWriter, r *http.Request, apiserver http.Handler) {
	select {
	case <-time.After(500 * time.Millisecond):
		apiserver.ServeHTTP(w, r)
	case <-r.Context().Done():
	}
}

// An agentTry is an agent that has a fault.
type agentTry struct {
	apiFault
	row   fault
	pod   *kactustest.Pod
	agent *agentProcess
	proxy *proxy
	// ended is when the fault ended, and took how long it then took until all was attached; zero if
	// it was not in time.
	ended time.Time
	took  time.Duration
}

// TestFault_AgentAPI starts an agent for each fault, with everything that it and its kactus ask the
// apiserver going through it, ends the faults, and waits for all agents: that is much faster than
// one after the other, as most of it is waiting.
func TestFault_AgentAPI(t *testing.T) {
	t.Parallel()
	var tries []*agentTry
	for _, f := range agentFaults() {
		tries = append(tries, newAgentTry(t, f))
	}
	for _, a := range tries {
		a.row.try(t, a.name+": at start", func(t *testing.T) time.Duration {
			a.expectUntouched(t)
			return 0
		})
		a.ended = time.Now()
		a.proxy.endFault(t)
	}
	awaitAll(t, tries, two)
	for _, a := range tries {
		a.row.try(t, a.name+": has ended", func(t *testing.T) time.Duration { return a.expectAttached(t, two) })
	}
	again := slices.DeleteFunc(slices.Clone(tries), func(a *agentTry) bool { return a.answer == nil })
	for _, a := range again {
		a.beginAgain(t)
	}
	awaitAll(t, again, three)
	for _, a := range again {
		a.row.try(t, a.name+": later", func(t *testing.T) time.Duration { return a.expectAttached(t, three) })
	}
	for _, a := range tries {
		a.row.report(t)
		a.pod.Del(t)
		expectClean(t, a.pod)
	}
}

// awaitAll waits until all have these networks, and notes how long each took. The watch of an agent
// that was refused for long is tried again after up to a minute.
func awaitAll(t *testing.T, tries []*agentTry, networks []string) {
	t.Helper()
	const limit = 2 * time.Minute
	waiting := slices.Clone(tries)
	for deadline := time.Now().Add(limit); len(waiting) > 0 && time.Now().Before(deadline); {
		<-time.After(10 * time.Millisecond)
		waiting = slices.DeleteFunc(waiting, func(a *agentTry) bool {
			if !a.pod.IsAttached(t, ifNamesOf(networks)...) {
				return false
			}
			a.took = time.Since(a.ended)
			return true
		})
	}
}

// newAgentTry starts an agent that meets the fault at once, and has something to do.
func newAgentTry(t *testing.T, f apiFault) *agentTry {
	t.Helper()
	tn := newCampaignTenant(t)
	a := &agentTry{
		apiFault: f, row: fault{name: "kactus agent: " + f.name}, pod: newAttachedPod(t, tn, "green"),
		proxy: newProxy(t, f),
	}
	tn.Conf = a.proxy.through(t, tn.Conf, "10s")
	own := tn.NewKubeconfig(t, "node-agent", kactustest.NodeAgentToken)
	a.agent = startAgent(t, tn, "-kubeconfig", a.proxy.kubeconfig(t, own))
	a.pod.Annotate(t, `[{"name":"green"},{"name":"blue"}]`)
	return a
}

// expectUntouched waits until the agent has met the fault, in which nothing may be touched.
func (a *agentTry) expectUntouched(t *testing.T) {
	t.Helper()
	if !a.down {
		kactustest.Eventually(t, "the agent meets the fault", func() bool { return a.proxy.met.Load() > 0 })
	}
	if !a.isFatal() {
		return
	}
	for _, wrong := range deviations(t, a.pod, "eth0", kactustest.GreenIfName) {
		t.Error(wrong)
	}
}

// isFatal reports whether nothing can be done during the fault. A list of the Pods is enough for an
// agent without a watch.
func (a *agentTry) isFatal() bool { return a.path == "" && a.name != slowAPI }

// beginAgain begins the fault again, while the watch goes on, and ends it when kactus or the agent
// has met it.
func (a *agentTry) beginAgain(t *testing.T) {
	t.Helper()
	before := a.proxy.met.Load()
	a.proxy.ended.Store(false)
	a.pod.Annotate(t, `[{"name":"green"},{"name":"blue"},{"name":"data","ifMac":"`+dataMAC(a.pod.Tenant)+`"}]`)
	if a.path == "" {
		kactustest.Eventually(t, "kactus meets the fault: "+a.name, func() bool { return a.proxy.met.Load() > before })
	}
	a.ended = time.Now()
	a.proxy.ended.Store(true)
}

// expectAttached fails the test unless the Pod has these networks, and returns how long that took.
func (a *agentTry) expectAttached(t *testing.T, networks []string) time.Duration {
	t.Helper()
	expectAttached(t, a.pod, networks...)
	a.pod.EventuallyCondition(t, "True", "Attached")
	if peak := a.agent.PeakSoFar(); peak == 0 || peak >= kactustest.MemoryLimit {
		t.Errorf("kactus agent needs %d MiB", peak)
	}
	return a.took
}
