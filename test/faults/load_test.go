package faults

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// TestFault_Load adds and deletes many Pods of three networks each, as a runtime does, with many
// operations in flight, and kills some at random. It does not run in parallel with other tests:
// interfaces come and go so fast that the kernel cannot list them to another test.
func TestFault_Load(t *testing.T) {
	count, inFlight, length := 40, 16, 10*time.Second
	if *fullCampaign {
		count, inFlight, length = 200, 50, 5*time.Minute
	}
	tn := kactustest.NewTenant(t)
	tn.Conf.LogLevel = "error"
	tn.Conf.APITimeout = "60s" // the apiserver may be slow under this load
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

	left := slices.Clone(pods) // the runtime deletes them all, and nothing is killed anymore
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
	name := fmt.Sprintf("%d Pods with three networks each, %d operations in flight: ", count, inFlight)
	l.operations.name, l.killed.name = name+"operations that are not killed", name+"operations that are killed"
	l.operations.report(t)
	l.killed.report(t)
}

// load is what has happened so far. Lost operations are those that failed without being killed;
// lost after a kill is what was left behind.
type load struct {
	mu                 sync.Mutex
	operations, killed fault
	usual              map[string]time.Duration // the time of an operation that was not killed
	draining           bool                     // nothing is killed
}

// A loadedPod is a Pod and its next operation.
type loadedPod struct {
	*kactustest.Pod
	command string
}

// work runs operations of different Pods, that many at a time, until next returns nil.
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

// run runs the Pod's next operation and checks its outcome: the Pod has all of its interfaces, or
// nothing. After a kill comes a DEL.
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
	// What a killed operation left running may take longer than the next one waits for the lock:
	// then the runtime tries again.
	for !hit.IsZero() && isBusy(err) {
		_, err = p.Start(t, operation, p.Conf, p.Runtime()).Wait(t)
	}
	var left []string
	switch {
	case err == nil && operation == "ADD":
		p.command = "DEL"
		if n := len(p.Links(t)); n != 4 {
			err = fmt.Errorf("the Pod has %d interfaces; want 4", n)
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
		t.Errorf("%s of %s, which was not killed: %v", operation, p.Name, err)
	}
}

// isBusy reports whether err says that another operation on the container is running.
func isBusy(err error) bool {
	var failed *types.Error
	return errors.As(err, &failed) && failed.Code == types.ErrTryAgainLater
}

func (l *load) note(what func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	what()
}

// maybeKill kills some operations, at a random moment, and reports whether it killed this one.
func (l *load) maybeKill(operation string, r *kactustest.Process) bool {
	if l.draining || rand.IntN(4) > 0 {
		return false
	}
	var usual time.Duration
	l.note(func() { usual = l.usual[operation] })
	select {
	case <-r.Exited:
	case <-time.After(time.Duration(rand.Float64() * float64(usual))):
		_ = r.Cmd.Process.Kill() // may have ended just now
		<-r.Exited
	}
	status, ok := r.Cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled()
}

// leftovers returns what is left of a Pod that was torn down.
func (p *loadedPod) leftovers(t *testing.T) []string {
	t.Helper()
	var left []string
	for ifName := range p.Links(t) {
		left = append(left, "interface "+ifName)
	}
	for _, name := range kactustest.FileNames(t, p.Conf.CNIDir) {
		if strings.HasPrefix(name, p.ID+".") {
			left = append(left, "file "+name)
		}
	}
	if len(left) > 0 {
		t.Errorf("left of %s: %q", p.Name, left)
	}
	return left
}

// leftovers returns how much is left on the node of all Pods.
func (l *load) leftovers(t *testing.T, tn *kactustest.Tenant) int {
	t.Helper()
	kactustest.Eventually(t, "no interface of the Pods on the node", func() bool { return len(tn.Ports(t)) == 0 })
	left := kactustest.FileNames(t, tn.Conf.CNIDir)
	for _, network := range []string{kactustest.DefaultNetwork, "green", "blue", "data"} {
		left = append(left, tn.Leases(t, network)...)
	}
	if len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	return len(left)
}
