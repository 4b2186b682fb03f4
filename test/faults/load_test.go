package faults

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// TestFaultLoad adds and deletes many Pods of three networks each, as a runtime does, with many verbs in flight, of which random ones are killed. It
// runs alone: so many devices come and go that the kernel lists them to no other test.
func TestFaultLoad(t *testing.T) {
	count, inFlight, length := 40, 16, 10*time.Second
	if *fullCampaign {
		count, inFlight, length = 200, 50, 5*time.Minute
	}
	tn := kactustest.NewTenant(t)
	tn.Conf.LogLevel = "error"
	tn.Conf.APITimeout = "60s" // on a machine that is busy with all of this, the apiserver may be late
	tn.CreateBridgeNetworks(t, "green", "blue", "data")
	l := &load{usual: map[string]time.Duration{}}
	pods := make([]*loadedPod, count)
	queue := make(chan *loadedPod, count)
	for i := range pods {
		pods[i] = &loadedPod{Pod: tn.NewPod(t, `[{"name":"green"},{"name":"blue"},{"name":"data"}]`), command: "ADD"}
		queue <- pods[i]
	}
	deadline := time.Now().Add(length)
	l.work(t, inFlight, func() *loadedPod {
		if time.Now().After(deadline) {
			return nil
		}
		return <-queue
	}, func(p *loadedPod) { queue <- p })

	left := slices.Clone(pods) // the runtime has them all undone, and nothing is killed any more
	var mu sync.Mutex
	l.draining = true
	l.work(t, inFlight, func() *loadedPod {
		mu.Lock()
		defer mu.Unlock()
		if len(left) == 0 {
			return nil
		}
		p := left[0]
		left = left[1:]
		p.command = "DEL"
		return p
	}, func(*loadedPod) {})
	for _, p := range pods {
		l.killed.lost += len(p.leftovers(t))
	}
	l.killed.lost += l.leftovers(t, tn)
	name := fmt.Sprintf("%d Pods with three networks each, %d verbs in flight: ", count, inFlight)
	l.operations.name, l.killed.name = name+"verbs that are not hit", name+"verbs that are killed"
	l.operations.report(t)
	l.killed.report(t)
}

// load is what happened so far. What is lost of verbs are those that failed and were not hit, and of killed what is left behind.
type load struct {
	mu                 sync.Mutex
	operations, killed fault
	usual              map[string]time.Duration // that a verb took when it was not killed
	draining           bool                     // no verb is killed
}

// loadedPod is a Pod, and the verb that is next.
type loadedPod struct {
	*kactustest.Pod
	command string
}

// work runs one verb of a Pod after the other, so many at once, until next gives none.
func (l *load) work(t *testing.T, inFlight int, next func() *loadedPod, done func(*loadedPod)) {
	t.Helper()
	var workers sync.WaitGroup
	for range inFlight {
		workers.Go(func() {
			for p := next(); p != nil; p = next() {
				l.run(t, p)
				done(p)
			}
		})
	}
	workers.Wait()
}

// run runs the Pod's next verb, and looks whether it did what it should: after it, the Pod has all of its devices, or nothing at all. Where the verb
// is killed, a DEL follows.
func (l *load) run(t *testing.T, p *loadedPod) {
	t.Helper()
	operation, begin, hit := p.command, time.Now(), time.Time{}
	r := p.Start(t, operation, p.Conf, p.Runtime())
	for l.maybeKill(operation, r) {
		if hit.IsZero() {
			hit = time.Now()
		}
		l.note(func() { l.killed.tried++ })
		operation, begin = "DEL", time.Now()
		r = p.Start(t, operation, p.Conf, p.Runtime())
	}
	_, err := r.Wait(t)
	// What a killed verb left running may take longer than a verb waits: then the runtime comes again.
	for !hit.IsZero() && isBusy(err) {
		_, err = p.Start(t, operation, p.Conf, p.Runtime()).Wait(t)
	}
	var left []string
	switch {
	case err == nil && operation == "ADD":
		p.command = "DEL"
		if n := len(p.Links(t)); n != 4 {
			err = fmt.Errorf("the Pod has %d devices; want 4", n)
		}
	case err == nil:
		p.command = "ADD"
		left = p.leftovers(t)
	default:
		p.command = "DEL"
	}
	recovered := time.Duration(0)
	if !hit.IsZero() {
		recovered = time.Since(hit)
	}
	l.note(func() {
		l.usual[operation] = time.Since(begin)
		l.operations.tried++
		l.killed.worst = max(l.killed.worst, recovered)
		l.killed.lost += len(left)
		if err != nil {
			l.operations.lost++
		}
	})
	if err != nil {
		t.Errorf("%s of %s, which was not hit: %v", operation, p.Name, err)
	}
}

// busy says whether err is that another verb on the container runs.
func isBusy(err error) bool {
	var failed *types.Error
	return errors.As(err, &failed) && failed.Code == types.ErrTryAgainLater
}

func (l *load) note(what func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	what()
}

// killsSome kills some of the verbs, at random moments of the time that they take, and says whether it killed this one.
func (l *load) maybeKill(operation string, r *kactustest.Process) bool {
	if l.draining || rand.IntN(4) > 0 {
		return false
	}
	var usual time.Duration
	l.note(func() { usual = l.usual[operation] })
	select {
	case <-r.Exited:
	case <-time.After(time.Duration(rand.Float64() * float64(usual))):
		_ = r.Cmd.Process.Kill() // it may have ended just now
		<-r.Exited
	}
	status, ok := r.Cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled()
}

// remains is what is left of a Pod that was undone.
func (p *loadedPod) leftovers(t *testing.T) []string {
	t.Helper()
	var left []string
	for ifName := range p.Links(t) {
		left = append(left, "device "+ifName)
	}
	for _, suffix := range []string{".json", ".lock", ".tmp"} {
		if _, err := os.Stat(p.Conf.CNIDir + "/" + p.ID + suffix); err == nil {
			left = append(left, "file "+suffix)
		}
	}
	if len(left) > 0 {
		t.Errorf("left of %s: %q", p.Name, left)
	}
	return left
}

// remains counts what is left on the node of all Pods.
func (l *load) leftovers(t *testing.T, tn *kactustest.Tenant) int {
	t.Helper()
	kactustest.Eventually(t, "the node has no device of the Pods", func() bool { return len(tn.Ports(t)) == 0 })
	left := kactustest.FileNames(t, tn.Conf.CNIDir)
	for _, network := range []string{kactustest.DefaultNetwork, "green", "blue", "data"} {
		left = append(left, tn.Leases(t, network)...)
	}
	if len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	return len(left)
}
