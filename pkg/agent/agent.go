package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/util/workqueue"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
)

// Pods are the Pods of the agent's node, as they were last seen.
type Pods interface {
	Pod(namespace, name string) *kube.WatchedPod
	Pods() []*kube.WatchedPod
}

// API is what the agent writes to the apiserver.
type API interface {
	PatchStatus(ctx context.Context, namespace, name string, patch kube.StatusPatch) (kube.PatchedStatus, error)
	CreateEvent(ctx context.Context, e kube.Event) error
	RepeatEvent(ctx context.Context, namespace, name string, s kube.Series) error
}

// Ledger is what the agent reads of the ledger, in which it writes nothing.
type Ledger interface {
	Heads() iter.Seq2[ledger.Head, error]
	Records() iter.Seq2[ledger.Record, error]
	ReadHead(containerID string) (ledger.Head, error)
	ReadRecord(containerID string) (ledger.Record, error)
	Busy(containerID string) bool
	Watch(ctx context.Context, started func(), changed func(containerID string)) error
}

// Kernel tells what there is of a Pod's network namespace.
type Kernel interface {
	// Identify returns the identity of the network namespace at a path.
	Identify(path string) (netns.ID, error)
	// Interfaces returns the interfaces of the network namespace at a path.
	Interfaces(path string) ([]netns.Interface, error)
}

// Kactus is the node's kactus, as which the container runtime executes it.
type Kactus interface {
	// Netconf returns the netconf of the node.
	Netconf() (Netconf, error)
	// Run runs a hot operation. The error is a *types.Error if kactus printed one.
	Run(ctx context.Context, call Call) error
	// Reclaim tears down what containers left whose network namespace has ended.
	Reclaim(ctx context.Context) error
}

// Options configure an Agent.
type Options struct {
	// Node is the name of the node.
	Node string
	// Repair makes anew what the kernel has lost. Otherwise, it is only reported.
	Repair bool
	// RepairEvery is the time between two looks at what the kernel has of each Pod.
	RepairEvery time.Duration
}

// workers is how many Pods are worked on at once.
const workers = 8

// Agent makes what is attached to each running Pod of a node what the Pod's annotation says.
type Agent struct {
	Options
	Pods    Pods
	API     API
	Ledger  Ledger
	Kernel  Kernel
	Kactus  Kactus
	Metrics *Metrics
	Log     *slog.Logger

	queue    workqueue.TypedDelayingInterface[podKey]
	index    index
	taking   atomic.Int32 // how many Pods have steps that are running
	events   chan func(context.Context) error
	reporter *reporter
	health   health

	mu     sync.Mutex // guards the following
	states map[podKey]*podState
}

// podKey names a Pod.
type podKey struct{ namespace, name string }

// String returns the key as kubectl has it.
func (k podKey) String() string { return k.namespace + "/" + k.name }

func keyOf(pod *kube.WatchedPod) podKey { return podKey{pod.Namespace, pod.Name} }

// Init prepares the agent. It must be called before all other methods.
func (a *Agent) Init() {
	a.queue = workqueue.NewTypedDelayingQueue[podKey]()
	a.states = map[podKey]*podState{}
	a.reporter = newReporter(a)
	a.events = make(chan func(context.Context) error, maxEvents)
	a.index.containers = map[string]podKey{}
	a.Metrics.init(a)
}

// Changed tells the agent that a Pod is new, was changed, or is gone.
func (a *Agent) Changed(namespace, name string) { a.queue.Add(podKey{namespace, name}) }

// Run works until ctx ends, and then until the operations have ended that are running.
func (a *Agent) Run(ctx context.Context) {
	a.readLedger()
	defer a.startTelling(ctx)()
	var running sync.WaitGroup
	running.Go(func() { a.watchLedger(ctx) })
	running.Go(func() { a.repeat(ctx) })
	for range workers {
		running.Go(func() { a.work(ctx) })
	}
	<-ctx.Done()
	a.queue.ShutDown()
	running.Wait()
}

// startTelling begins to send events and to write statuses. The returned function does what is
// left, and ends that.
func (a *Agent) startTelling(ctx context.Context) (stop func()) {
	telling, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var told sync.WaitGroup
	told.Go(func() { a.sendEvents(telling) })
	stopReports := a.reporter.start(ctx)
	return func() {
		stopReports()
		cancel()
		told.Wait()
	}
}

func (a *Agent) work(ctx context.Context) {
	for {
		key, shutDown := a.queue.Get()
		if shutDown {
			return
		}
		if ctx.Err() == nil {
			if again := a.reconcile(ctx, key); again > 0 {
				a.queue.AddAfter(key, again)
			}
		}
		a.queue.Done(key)
	}
}

// watchLedger follows the ledger until ctx ends. If that is not possible, it tries again.
func (a *Agent) watchLedger(ctx context.Context) {
	const pause = 5 * time.Second
	started := func() {
		a.readLedger()
		a.health.set(ledgerWatch, nil)
	}
	for ctx.Err() == nil {
		err := a.Ledger.Watch(ctx, started, a.recordChanged)
		if err == nil {
			return
		}
		a.health.set(ledgerWatch, err)
		a.Log.Error("the ledger is not followed, and is only looked at again and again", "cause", err)
		a.readLedger()
		sleep(ctx, pause)
	}
}

// readLedger reads the whole ledger, and has each Pod looked at that is in it.
func (a *Agent) readLedger() {
	containers := map[string]podKey{}
	for head, err := range a.Ledger.Heads() {
		if err != nil {
			a.Log.Warn("a record cannot be read", "cause", err)
			continue
		}
		containers[head.ContainerID] = podKey{head.Pod.Namespace, head.Pod.Name}
	}
	for _, key := range a.index.replace(containers) {
		a.queue.Add(key)
	}
}

// recordChanged has the Pod of a record looked at that was written or removed.
func (a *Agent) recordChanged(containerID string) {
	head, err := a.Ledger.ReadHead(containerID)
	key := podKey{head.Pod.Namespace, head.Pod.Name}
	switch {
	case err == nil:
		a.index.set(containerID, key)
	case errors.Is(err, fs.ErrNotExist):
		var known bool
		if key, known = a.index.remove(containerID); !known {
			return
		}
	default:
		a.Log.Warn("a record cannot be read", "containerID", containerID, "cause", err)
		return
	}
	a.queue.Add(key)
}

// repeat looks at all Pods again and again, until ctx ends: the kernel tells nobody that a Pod has
// lost an interface.
func (a *Agent) repeat(ctx context.Context) {
	for sleep(ctx, a.RepairEvery) {
		a.readLedger()
		for _, pod := range a.Pods.Pods() {
			a.queue.Add(keyOf(pod))
		}
		if !a.Repair || !a.isSomethingLeft() {
			continue
		}
		if err := a.Kactus.Reclaim(ctx); err != nil && ctx.Err() == nil {
			a.Log.Error("what ended containers left is not all torn down", "cause", err)
		}
	}
}

// isSomethingLeft reports whether the ledger has a record of a container whose network namespace is
// not where it was. Whether it has certainly ended, kactus gc finds out, which looks at all
// processes of the node.
func (a *Agent) isSomethingLeft() bool {
	for record, err := range a.Ledger.Records() {
		if err != nil || record.Netns.IsZero() { // nothing can be told of it
			continue
		}
		if now, err := a.Kernel.Identify(record.Netns.Path); err != nil || !now.Same(record.Netns) {
			return true
		}
	}
	return false
}

// Once looks at each Pod once. The error joins what is not as an annotation says.
func (a *Agent) Once(ctx context.Context) error {
	defer a.startTelling(ctx)()
	a.readLedger()
	pods := make(chan *kube.WatchedPod)
	var mu sync.Mutex
	var left []error
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for pod := range pods {
				err := a.once(ctx, keyOf(pod))
				mu.Lock()
				left = append(left, err)
				mu.Unlock()
			}
		})
	}
	for _, pod := range a.Pods.Pods() {
		pods <- pod
	}
	close(pods)
	running.Wait()
	return errors.Join(left...)
}

// once waits while other operations on the Pod are running.
func (a *Agent) once(ctx context.Context, key podKey) error {
	const longest = time.Minute
	deadline := time.Now().Add(longest)
	for {
		a.reconcile(ctx, key)
		pod := a.Pods.Pod(key.namespace, key.name)
		if pod == nil {
			return nil
		}
		v := a.view(pod)
		if v.situation == busy && time.Now().Before(deadline) && sleep(ctx, busyPause) {
			continue
		}
		if problem := v.problem(); problem != "" {
			return fmt.Errorf("%s: %s", key, cmp.Or(a.state(pod).failures(), problem))
		}
		return nil
	}
}

// Plan returns what there is to do for each Pod, a line each.
func (a *Agent) Plan() []string {
	a.readLedger()
	var lines []string
	for _, pod := range a.Pods.Pods() {
		v := a.view(pod)
		for _, step := range v.steps {
			lines = append(lines, fmt.Sprintf("%s: %s", keyOf(pod), step))
		}
		if problem := v.problem(); problem != "" && len(v.steps) == 0 {
			lines = append(lines, fmt.Sprintf("%s: %s", keyOf(pod), problem))
		}
	}
	return lines
}

// sleep reports whether ctx lasts as long as d.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
