package faults

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// recovery is how long everything may take to be right after the last fault: what failed often is
// tried again after half a minute, and an agent that was killed begins to watch anew.
const recovery = 2 * time.Minute

// patience is how long a sandbox may take to be made anew while operations are killed.
const patience = 8 * time.Minute

// TestFault_AgentRandom edits the annotations of both kinds of many Pods at random, makes sandboxes
// anew, as a runtime does that was restarted, deletes interfaces, and kills the agent, kactus and
// delegates.
// At the end, each Pod must have what its annotation says, and after their DELs nothing must be
// left. Like TestFault_Load, it does not run in parallel with other tests.
func TestFault_AgentRandom(t *testing.T) {
	count, length := 8, 10*time.Second
	if *fullCampaign {
		count, length = 50, 5*time.Minute
	}
	tn := kactustest.NewTenant(t)
	tn.Conf.LogLevel = "error"
	tn.Conf.APITimeout = "60s" // the apiserver may be slow under this load
	tn.CreateBridgeNetworks(t, agentNetworks...)
	for _, name := range agentNADs {
		tn.CreateNAD(t, name, `{"capabilities": {"mac": true}, `+tn.BridgeConfig(t, name)+"}")
	}
	r := newAgentRandom(t, tn, count)
	r.disturb(t, length)
	last := time.Now()
	for _, p := range r.pods {
		p.compare(t, &r.edits, last)
	}
	r.compareLeases(t, tn)
	r.tearDown(t, tn)
	for _, f := range []*fault{&r.edits, &r.restarts, &r.losses, &r.kills} {
		f.report(t)
	}
}

// agentRandom is what has happened so far.
type agentRandom struct {
	pods  []*editedPod
	queue chan *editedPod // those that nobody works on
	agent *agentProcess

	mu sync.Mutex
	// edits, restarts, losses and kills are rows of the table. Worst of the first is the time from
	// the last fault until a Pod was right.
	edits, restarts, losses, kills fault
}

func newAgentRandom(t *testing.T, tn *kactustest.Tenant, count int) *agentRandom {
	t.Helper()
	name := fmt.Sprintf("kactus agent, %d Pods, compared with a model: ", count)
	r := &agentRandom{
		queue:    make(chan *editedPod, count),
		edits:    fault{name: name + "edits of annotations"},
		restarts: fault{name: name + "sandboxes made anew"},
		losses:   fault{name: name + "interfaces deleted"},
		kills:    fault{name: name + "kills of the agent, kactus and delegates"},
	}
	for i := range count {
		p := &editedPod{Pod: tn.NewPod(t, "[]"), number: i}
		p.Add(t)
		r.pods = append(r.pods, p)
		r.queue <- p
	}
	r.agent = startAgent(t, tn, "-repair-every", "1s")
	return r
}

// disturb does everything at random, for that long.
func (r *agentRandom) disturb(t *testing.T, length time.Duration) {
	t.Helper()
	const inFlight = 8
	deadline := time.Now().Add(length)
	var working sync.WaitGroup
	for range inFlight {
		working.Go(func() {
			for time.Now().Before(deadline) {
				p := <-r.queue
				r.change(t, p)
				r.queue <- p
				<-time.After(rand.N(200 * time.Millisecond)) // the agent gets to do something
			}
		})
	}
	for time.Now().Before(deadline) {
		<-time.After(rand.N(2 * time.Second)) // a random moment
		r.kill(t)
	}
	working.Wait()
}

// kill kills the agent, or the kactuses and delegates that run at this moment, or all of them.
func (r *agentRandom) kill(t *testing.T) {
	t.Helper()
	what := rand.IntN(3)
	if what != 0 {
		r.agent.kill(false)
	}
	if what != 1 {
		killOperations()
	}
	if what != 0 {
		r.agent.start(t)
	}
	r.note(&r.kills, nil)
}

// killOperations kills some of the kactuses and delegates on the node: most must be able to end.
func killOperations() {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		environ, _ := os.ReadFile(filepath.Join(dir, "environ"))
		if bytes.Contains(environ, []byte("CNI_CONTAINERID=")) && rand.IntN(4) == 0 {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			_ = syscall.Kill(pid, syscall.SIGKILL) // may have ended
		}
	}
}

func (r *agentRandom) note(f *fault, lost error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f.tried++
	if lost != nil {
		f.lost++
	}
}

// change does something to a Pod.
func (r *agentRandom) change(t *testing.T, p *editedPod) {
	t.Helper()
	switch rand.IntN(8) {
	case 0:
		err := p.restart(t)
		if err != nil {
			t.Error(err)
		}
		r.note(&r.restarts, err)
	case 1:
		p.loseInterface(t)
		r.note(&r.losses, nil)
	case 2:
		p.annotate(t, map[string]any{"networks": `[{"name":`}) // by mistake
		fallthrough
	default:
		p.annotate(t, p.randomEdit())
		r.note(&r.edits, nil)
	}
}

// annotate tries until an apiserver under this load has done it.
func (p *editedPod) annotate(t *testing.T, annotations map[string]any) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(recovery); time.Now().Before(deadline); {
		if err = p.TryAnnotate(t.Context(), annotations); err == nil {
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	t.Error(err)
}

// loseInterface deletes an interface, if there is one, that may come or go at this moment.
func (p *editedPod) loseInterface(t *testing.T) {
	t.Helper()
	for ifName, link := range p.Links(t) { // in a random order
		if ifName != "eth0" {
			p.InNetns(t, func(h *netlink.Handle) { _ = h.LinkDel(link) })
			return
		}
	}
}

// restart makes the Pod's sandbox anew, as a runtime does, which repeats a DEL until it succeeds,
// and makes another sandbox if an ADD fails.
func (p *editedPod) restart(t *testing.T) error {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if !p.succeeds(t, "DEL") {
			continue
		}
		p.LoseNetns()
		p.NewSandbox(t)
		if p.succeeds(t, "ADD") {
			return nil
		}
	}
	return fmt.Errorf("the sandbox of %s is not made anew within %s", p.Name, patience)
}

// succeeds runs an operation of the runtime, which may be killed.
func (p *editedPod) succeeds(t *testing.T, operation string) bool {
	t.Helper()
	r := p.Start(t, operation, p.Conf, p.Runtime())
	<-r.Exited
	return r.Cmd.ProcessState.Success()
}

// compare waits until the Pod is as the model says.
func (p *editedPod) compare(t *testing.T, row *fault, last time.Time) {
	t.Helper()
	for deadline := last.Add(recovery); !p.isRight(t); {
		if time.Now().After(deadline) {
			row.lost++
			record, _ := os.ReadFile(p.RecordPath())
			t.Errorf("%s, %s, has the interfaces %q, the record %s and the network-status %+v; want %+v",
				p.Name, p.ID, slices.Collect(maps.Keys(p.Indices(t))), record, p.NetworkStatus(t), p.wanted)
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	row.worst = max(row.worst, time.Since(last))
}

// compareLeases compares the leases of each network with what the Pods have together.
func (r *agentRandom) compareLeases(t *testing.T, tn *kactustest.Tenant) {
	t.Helper()
	want := map[string]int{kactustest.DefaultNetwork: len(r.pods)}
	for _, p := range r.pods {
		for _, w := range p.wanted {
			want[w.network]++
		}
	}
	for _, network := range slices.Concat([]string{kactustest.DefaultNetwork}, agentNetworks, agentNADs) {
		if got := len(tn.Leases(t, network)); got != want[network] {
			r.edits.lost++
			t.Errorf("%d leases of %s; want %d", got, network, want[network])
		}
	}
}

// tearDown deletes all Pods, while the agent goes on, which must leave them alone.
func (r *agentRandom) tearDown(t *testing.T, tn *kactustest.Tenant) {
	t.Helper()
	for _, p := range r.pods {
		if !p.succeeds(t, "DEL") {
			r.kills.lost++
			t.Errorf("the DEL of %s fails", p.Name)
		}
	}
	kactustest.Eventually(t, "no interface of the Pods on the node", func() bool { return len(tn.Ports(t)) == 0 })
	left := kactustest.FileNames(t, tn.Conf.CNIDir)
	for _, network := range slices.Concat([]string{kactustest.DefaultNetwork}, agentNetworks, agentNADs) {
		left = append(left, tn.Leases(t, network)...)
	}
	if len(left) > 0 {
		r.kills.lost += len(left)
		t.Errorf("left: %q", left)
	}
	r.agent.kill(false)
}
