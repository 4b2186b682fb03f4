package e2e

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
)

// TestFaultLoad adds and deletes many Pods of three networks each, as a runtime does, with many verbs in flight, of which random ones are killed. It
// runs alone: so many devices come and go that the kernel lists them to no other test.
func TestFaultLoad(t *testing.T) {
	count, inFlight, length := 40, 16, 10*time.Second
	if *fullCampaign {
		count, inFlight, length = 200, 50, 5*time.Minute
	}
	tn := newTenant(t)
	tn.conf.LogLevel = "error"
	tn.conf.APITimeout = "60s" // on a machine that is busy with all of this, the apiserver may be late
	tn.bridges(t, "green", "blue", "data")
	l := &load{usual: map[string]time.Duration{}}
	pods := make([]*loadedPod, count)
	queue := make(chan *loadedPod, count)
	for i := range pods {
		pods[i] = &loadedPod{pod: tn.pod(t, `[{"name":"green"},{"name":"blue"},{"name":"data"}]`), verb: "ADD"}
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
	l.peace = true
	l.work(t, inFlight, func() *loadedPod {
		mu.Lock()
		defer mu.Unlock()
		if len(left) == 0 {
			return nil
		}
		p := left[0]
		left = left[1:]
		p.verb = "DEL"
		return p
	}, func(*loadedPod) {})
	for _, p := range pods {
		l.killed.lost += len(p.remains(t))
	}
	l.killed.lost += l.remains(t, tn)
	name := fmt.Sprintf("%d Pods with three networks each, %d verbs in flight: ", count, inFlight)
	l.verbs.name, l.killed.name = name+"verbs that are not hit", name+"verbs that are killed"
	l.verbs.report(t)
	l.killed.report(t)
}

// load is what happened so far. What is lost of verbs are those that failed and were not hit, and of killed what is left behind.
type load struct {
	mu            sync.Mutex
	verbs, killed fault
	usual         map[string]time.Duration // that a verb took when it was not killed
	peace         bool                     // no verb is killed
}

// loadedPod is a Pod, and the verb that is next.
type loadedPod struct {
	*pod
	verb string
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
	verb, begin, hit := p.verb, time.Now(), time.Time{}
	r := p.start(t, verb, p.conf, p.runtime())
	for l.killsSome(verb, r) {
		if hit.IsZero() {
			hit = time.Now()
		}
		l.note(func() { l.killed.tried++ })
		verb, begin = "DEL", time.Now()
		r = p.start(t, verb, p.conf, p.runtime())
	}
	_, err := r.wait(t)
	// What a killed verb left running may take longer than a verb waits: then the runtime comes again.
	for !hit.IsZero() && busy(err) {
		_, err = p.start(t, verb, p.conf, p.runtime()).wait(t)
	}
	var left []string
	switch {
	case err == nil && verb == "ADD":
		p.verb = "DEL"
		if n := len(links(t, p.netns)); n != 4 {
			err = fmt.Errorf("the Pod has %d devices; want 4", n)
		}
	case err == nil:
		p.verb = "ADD"
		left = p.remains(t)
	default:
		p.verb = "DEL"
	}
	recovered := time.Duration(0)
	if !hit.IsZero() {
		recovered = time.Since(hit)
	}
	l.note(func() {
		l.usual[verb] = time.Since(begin)
		l.verbs.tried++
		l.killed.worst = max(l.killed.worst, recovered)
		l.killed.lost += len(left)
		if err != nil {
			l.verbs.lost++
		}
	})
	if err != nil {
		t.Errorf("%s of %s, which was not hit: %v", verb, p.name, err)
	}
}

// busy says whether err is that another verb on the container runs.
func busy(err error) bool {
	var failed *types.Error
	return errors.As(err, &failed) && failed.Code == types.ErrTryAgainLater
}

func (l *load) note(what func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	what()
}

// killsSome kills some of the verbs, at random moments of the time that they take, and says whether it killed this one.
func (l *load) killsSome(verb string, r *running) bool {
	if l.peace || rand.IntN(4) > 0 {
		return false
	}
	var usual time.Duration
	l.note(func() { usual = l.usual[verb] })
	select {
	case <-r.exited:
	case <-time.After(time.Duration(rand.Float64() * float64(usual))):
		_ = r.cmd.Process.Kill() // it may have ended just now
		<-r.exited
	}
	status, ok := r.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled()
}

// remains is what is left of a Pod that was undone.
func (p *loadedPod) remains(t *testing.T) []string {
	t.Helper()
	var left []string
	for device := range links(t, p.netns) {
		left = append(left, "device "+device)
	}
	for _, suffix := range []string{".json", ".lock", ".tmp"} {
		if _, err := os.Stat(p.conf.CNIDir + "/" + p.id + suffix); err == nil {
			left = append(left, "file "+suffix)
		}
	}
	if len(left) > 0 {
		t.Errorf("left of %s: %q", p.name, left)
	}
	return left
}

// remains counts what is left on the node of all Pods.
func (l *load) remains(t *testing.T, tn *tenant) int {
	t.Helper()
	eventually(t, "the node has no device of the Pods", func() bool { return len(tn.ports(t)) == 0 })
	left := fileNames(t, tn.conf.CNIDir)
	for _, network := range []string{defaultNet, "green", "blue", "data"} {
		left = append(left, tn.leases(t, network)...)
	}
	if len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	return len(left)
}
