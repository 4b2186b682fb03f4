package faults

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// An agentProcess is a kactus agent that can be killed and started again.
type agentProcess struct {
	*kactustest.Process
	tenant *kactustest.Tenant
	args   []string
}

func startAgent(t *testing.T, tn *kactustest.Tenant, args ...string) *agentProcess {
	t.Helper()
	a := &agentProcess{tenant: tn, args: args}
	a.start(t)
	t.Cleanup(func() {
		if t.Failed() {
			a.kill(false)
			t.Logf("kactus agent: %s", a.Stderr.String())
		}
	})
	return a
}

func (a *agentProcess) start(t *testing.T) {
	t.Helper()
	a.Process = kactustest.StartCommand(t, a.tenant.NodeAgentCommand(t, a.args...))
}

// kill kills the agent and, as the end of its container does, what it executed for these Pods.
func (a *agentProcess) kill(withKactus bool, pods ...*kactustest.Pod) {
	_ = a.Cmd.Process.Kill()
	<-a.Exited
	if withKactus {
		for _, p := range pods {
			killWorking(p)
		}
	}
}

// killWorking kills what works for the Pod, delegates included.
func killWorking(p *kactustest.Pod) {
	for _, pid := range p.Working() {
		_ = syscall.Kill(pid, syscall.SIGKILL) // may have ended
	}
}

// TestFault_AgentKill kills the agent in the middle of hot operations. The next agent, which knows
// nothing of that one, must make everything what the annotation says.
func TestFault_AgentKill(t *testing.T) {
	t.Parallel()
	for _, withKactus := range []bool{false, true} {
		what := "kactus and delegates survive"
		if withKactus {
			what = "kactus and delegates, too"
		}
		f := fault{name: "SIGKILL of kactus agent in hot operations, " + what + "; then the agent anew"}
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			killAgentOften(t, &f, withKactus)
			f.report(t)
		})
	}
}

func killAgentOften(t *testing.T, f *fault, withKactus bool) {
	rounds := 6
	if *fullCampaign {
		rounds = 200
	}
	tn := newCampaignTenant(t)
	p := newAttachedPod(t, tn, "green")
	agent := startAgent(t, tn)
	edits := []agentEdit{
		{`[{"name":"green"},{"name":"blue"},{"name":"data","ifMac":"` + dataMAC(tn) + `"}]`, three, 0},
		{`[{"name":"green"}]`, []string{"green"}, 0},
	}
	for i := range edits { // undisturbed
		begin := time.Now()
		p.Annotate(t, edits[i].annotation)
		p.EventuallyAttached(t, ifNamesOf(edits[i].networks)...)
		edits[i].usual = time.Since(begin)
	}
	for round := range rounds {
		for _, edit := range edits {
			name := fmt.Sprint("round ", round, ", ", len(edit.networks), " networks")
			outlives := t // what a subtest starts ends with it, and the next one is to kill this agent
			f.try(t, name, func(t *testing.T) time.Duration {
				p.Annotate(t, edit.annotation)
				<-time.After(rand.N(edit.usual)) // a random moment
				begin := time.Now()
				agent.kill(withKactus, p)
				agent.start(outlives)
				p.EventuallyAttached(t, ifNamesOf(edit.networks)...)
				took := time.Since(begin)
				expectAttached(t, p, edit.networks...)
				return took
			})
		}
	}
	p.EventuallyCondition(t, "True", "Attached")
	agent.kill(false)
	p.Del(t)
	expectClean(t, p)
}

// An agentEdit is an annotation, the networks that it asks for, and how long the agent usually
// takes.
type agentEdit struct {
	annotation string
	networks   []string
	usual      time.Duration
}

// ifNamesOf returns the interface names of a Pod with the default network and these, as cut reads
// them.
func ifNamesOf(networks []string) []string {
	names := []string{"eth0"}
	for _, element := range networks {
		_, ifName, _ := cut(element)
		names = append(names, ifName)
	}
	return names
}
